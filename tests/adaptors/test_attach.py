"""Attaching and detaching leave a backbone as they found it, and misuse is refused before anything is touched."""

import pytest
from toy_adaptors import SETTINGS, attach

from retina_adapt.adaptors import (
    AdaptorNameError,
    AttachedBackboneError,
    LoraAdaptorConfig,
    ResidualAdaptorConfig,
    attach_adaptor,
    detach_adaptor,
    set_adaptor_weights,
    train_only,
)
from retina_adapt.adaptors.layers import tuner_layers
from retina_adapt.backbones import ReconstructionBackbone


def trace(backbone: ReconstructionBackbone) -> tuple[list[str], list[str]]:
    """Names of all modules and attributes."""
    return [name for name, _ in backbone.named_modules()], sorted(vars(backbone))


@pytest.mark.parametrize("config_class", [ResidualAdaptorConfig, LoraAdaptorConfig])
def test_detaching_the_active_adaptor_makes_one_and_the_same_other_active_everywhere(
    config_class: type, small_backbone: ReconstructionBackbone
) -> None:
    adapted = attach_adaptor(small_backbone, config_class(hook_groups=["encoder", "decoder"]), "both")
    attach_adaptor(adapted, config_class(hook_groups=["decoder"]), "light")
    attach_adaptor(adapted, config_class(hook_groups=["encoder"]), "haze")
    detach_adaptor(adapted, "both")
    assert adapted.active_adapters == ["light"]
    assert {tuple(layer.active_adapters) for _, layer in tuner_layers(small_backbone)} == {("light",)}
    detach_adaptor(adapted, "light")
    assert {name.split(".")[1] for name, _ in tuner_layers(small_backbone)} == {"encoder"}


def test_of_a_blend_those_that_are_left_stay_active(small_backbone: ReconstructionBackbone) -> None:
    config = LoraAdaptorConfig(hook_groups=["encoder"])
    adapted = attach_adaptor(small_backbone, config, "first")
    for name in ("second", "third"):
        attach_adaptor(adapted, config, name)
    set_adaptor_weights(adapted, {"second": 0.5, "third": 0.5})
    detach_adaptor(adapted, "third")
    assert adapted.active_adapters == ["second"]
    assert adapted.active_adapter == "second"


@pytest.mark.parametrize("case", SETTINGS)
def test_detaching_the_last_adaptor_leaves_the_backbone_as_it_was(
    case: str, small_backbone: ReconstructionBackbone
) -> None:
    before = trace(small_backbone)
    detach_adaptor(attach(small_backbone, case, "only"), "only")
    assert trace(small_backbone) == before


@pytest.mark.parametrize("name", ["keys", "items", "train", "half", "copy", "get"])
def test_words_of_pytorchs_modules_are_refused_as_names(name: str, small_backbone: ReconstructionBackbone) -> None:
    before = trace(small_backbone)
    with pytest.raises(AdaptorNameError, match="choose another name"):
        attach(small_backbone, "lora", name)
    assert trace(small_backbone) == before


@pytest.mark.parametrize("name", ["first", "with.dot", "", "with space", "-option", "x" * 101])
def test_a_name_that_is_taken_or_cannot_be_used_is_refused(name: str, small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, "residual", "first")
    with pytest.raises(AdaptorNameError):
        attach(adapted, "residual", name)


def test_unknown_names_are_errors(small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, "residual", "known")
    for misuse in (lambda: detach_adaptor(adapted, "unknown"), lambda: train_only(adapted, "unknown", ["encoder"])):
        with pytest.raises(AdaptorNameError, match="attached are known"):
            misuse()


def test_a_bare_backbone_that_has_adaptors_already_is_refused(small_backbone: ReconstructionBackbone) -> None:
    attach(small_backbone, "residual", "first")
    with pytest.raises(AttachedBackboneError, match="PeftModel"):
        attach(small_backbone, "residual", "second")


@pytest.mark.parametrize("case", SETTINGS)
def test_a_configuration_can_be_used_again(case: str, small_backbone: ReconstructionBackbone) -> None:
    config = SETTINGS[case].to_peft_config()
    before = str(config)
    adapted = attach_adaptor(small_backbone, config, "first")
    attach_adaptor(adapted, config, "second")
    assert str(config) == before
    detach_adaptor(adapted, "first")
    assert adapted.active_adapters == ["second"]
