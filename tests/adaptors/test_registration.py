"""The contract with the pinned range of peft: its public API works on every kind."""

import warnings
from pathlib import Path

import pytest
import torch
from contracts import contract
from peft import PeftConfig, PeftModel, PeftType, get_peft_model
from toy_adaptors import SETTINGS, attach, config_of, disturb, equal, outputs

from retina_adapt.adaptors import KINDS, AdaptorKind
from retina_adapt.adaptors.layers import tuner_layers
from retina_adapt.backbones import ReconstructionBackbone, load_backbone, save_backbone

every_kind = pytest.mark.parametrize("case", SETTINGS)
OWN_KINDS = [case for case in SETTINGS if not KINDS[SETTINGS[case].kind].mergeable]


@contract("PEFT's API", "works")
@every_kind
def test_peft_saves_and_loads(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor, tmp_path: Path
) -> None:
    save_backbone(small_backbone, tmp_path / "backbone")
    adapted = attach(small_backbone, case, "light")
    disturb(adapted, "light")
    adapted.save_pretrained(tmp_path / "adaptor")
    other = load_backbone(tmp_path / "backbone")
    # PEFT's own classes warn of the setting that only ours have, hook_groups.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = PeftConfig.from_pretrained(tmp_path / "adaptor" / "light")
        loaded = PeftModel.from_pretrained(other, tmp_path / "adaptor" / "light", adapter_name="again")
    assert config.peft_type == config_of(case).peft_type
    assert equal(outputs(other, frames), outputs(small_backbone, frames))
    assert loaded.active_adapters == ["again"]


@pytest.mark.parametrize("case", OWN_KINDS)
def test_peft_attaches_our_own_kinds(case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor) -> None:
    before = outputs(small_backbone, frames)
    model = get_peft_model(small_backbone, config_of(case), "light")
    assert equal(outputs(small_backbone, frames), before)
    model.add_adapter("haze", config_of(case))
    disturb(model, "haze")
    model.set_adapter("haze")
    assert not equal(outputs(small_backbone, frames), before)


@every_kind
def test_peft_reports_the_status_of_layers(case: str, small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, case, "light")
    attach(adapted, case, "haze")
    model, layers = adapted.get_model_status(), adapted.get_layer_status()
    assert model.enabled
    assert model.active_adapters == ["light"]
    assert model.available_adapters == ["haze", "light"]
    assert model.num_adapter_layers == len(layers) == len(list(tuner_layers(small_backbone)))
    assert model.trainable_params == sum(p.numel() for p in adapted.parameters() if p.requires_grad) > 0
    for layer in layers:
        assert layer.active_adapters == ["light"]
        assert layer.available_adapters == ["haze", "light"]
        assert layer.merged_adapters == []
        assert layer.enabled
        assert layer.requires_grad == {"light": True, "haze": False}
    with adapted.disable_adapter():
        assert not adapted.get_model_status().enabled


@every_kind
def test_peft_deletes_an_adaptor_and_another_becomes_active(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, case, "light")
    attach(adapted, case, "haze")
    disturb(adapted, "haze")
    adapted.set_adapter("haze")
    expected = outputs(small_backbone, frames)
    adapted.set_adapter("light")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted.delete_adapter("light")
    assert adapted.active_adapters == ["haze"]
    assert list(adapted.peft_config) == ["haze"]
    assert equal(outputs(small_backbone, frames), expected)


@pytest.mark.parametrize("case", OWN_KINDS)
def test_deleting_the_last_adaptor_of_our_own_kinds_leaves_no_empty_layer(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    before, modules = outputs(small_backbone, frames), [type(module) for module in small_backbone.modules()]
    adapted = attach(small_backbone, case, "light")
    disturb(adapted, "light")
    adapted.delete_adapter("light")
    assert [type(module) for module in small_backbone.modules()] == modules
    assert equal(outputs(small_backbone, frames), before)


@every_kind
def test_peft_unloads_to_the_backbone_itself(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    before, fingerprint = outputs(small_backbone, frames), small_backbone.fingerprint()
    adapted = attach(small_backbone, case, "light")
    disturb(adapted, "light")
    plain = adapted.unload()
    assert plain is small_backbone
    assert equal(outputs(plain, frames), before)
    assert plain.fingerprint() == fingerprint
    assert next(tuner_layers(plain), None) is None


def test_our_kinds_do_not_collide_with_pefts() -> None:
    assert not {kind.value for kind in AdaptorKind} & {member.value for member in PeftType}
