"""Attaching and detaching leave a backbone as they found it, and misuse is refused before anything is touched."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from toy_adaptors import METADATA, config_of, disturb

from retina_adapt.adaptors import (
    AdaptorConfigError,
    AdaptorFileError,
    AdaptorNameError,
    AttachedBackboneError,
    MixedBatchError,
    ResidualAdaptorConfig,
    attach_adaptor,
    detach_adaptor,
    load_adaptor,
    save_adaptor,
)
from retina_adapt.adaptors import files as adaptor_files
from retina_adapt.backbones import HookPointError, ReconstructionBackbone


def trace(backbone: ReconstructionBackbone) -> tuple[list[str], list[str]]:
    """Names of all modules and attributes."""
    return [name for name, _ in backbone.named_modules()], sorted(vars(backbone))


@pytest.fixture
def adaptor(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    """A good adaptor in all hook groups; the toy backbone itself is left without adaptors."""
    adapted = attach_adaptor(toy_backbone, config_of("residual, bottleneck"), "made")
    disturb(adapted, "made")
    save_adaptor(adapted, "made", tmp_path / "adaptor", METADATA)
    adapted.unload()
    return tmp_path / "adaptor"


def test_a_further_adaptor_that_does_not_fit_leaves_no_trace_on_hook_points_of_its_own(
    adaptor: Path, toy_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach_adaptor(toy_backbone, ResidualAdaptorConfig(hook_groups=["encoder"]), "good")
    disturb(adapted, "good")
    before, latents = trace(toy_backbone), toy_backbone.encode(frames)
    path = adaptor / "adaptor_model.safetensors"
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = {name: tensor * float("nan") for name, tensor in safetensors.torch.load_file(path).items()}
    safetensors.torch.save_file(tensors, path, metadata=header)
    with pytest.raises(AdaptorFileError, match="NaN"):
        load_adaptor(adapted, adaptor, "bad")
    assert trace(toy_backbone) == before
    assert adapted.active_adapters == ["good"]
    assert torch.equal(toy_backbone.encode(frames), latents)


def test_detaching_the_active_adaptor_makes_one_and_the_same_other_active_everywhere(
    toy_backbone: ReconstructionBackbone,
) -> None:
    adapted = attach_adaptor(toy_backbone, ResidualAdaptorConfig(hook_groups=["encoder", "decoder"]), "both")
    attach_adaptor(adapted, ResidualAdaptorConfig(hook_groups=["decoder"]), "light")
    attach_adaptor(adapted, ResidualAdaptorConfig(hook_groups=["encoder"]), "haze")
    detach_adaptor(adapted, "both")
    active = {tuple(module.active_adapters) for module in toy_backbone.modules() if isinstance(module, BaseTunerLayer)}
    assert active == {("light",)}


def test_detaching_the_last_adaptor_leaves_the_backbone_as_it_was(toy_backbone: ReconstructionBackbone) -> None:
    before = trace(toy_backbone)
    adapted = attach_adaptor(toy_backbone, config_of("residual"), "only")
    detach_adaptor(adapted, "only")
    assert trace(toy_backbone) == before


def test_loading_draws_no_random_numbers(adaptor: Path, toy_backbone: ReconstructionBackbone) -> None:
    state = torch.get_rng_state()
    load_adaptor(toy_backbone, adaptor, "loaded")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["keys", "items", "train", "half"])
def test_words_of_pytorchs_modules_are_refused_as_names(name: str, toy_backbone: ReconstructionBackbone) -> None:
    before = trace(toy_backbone)
    with pytest.raises(AdaptorNameError, match="choose another name"):
        attach_adaptor(toy_backbone, config_of("residual"), name)
    assert trace(toy_backbone) == before


def test_unknown_names_are_errors(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    adapted = attach_adaptor(toy_backbone, config_of("residual"), "known")
    with pytest.raises(AdaptorNameError, match="attached are known"):
        save_adaptor(adapted, "unknown", tmp_path / "unknown", METADATA)
    with pytest.raises(AdaptorNameError, match="attached are known"):
        detach_adaptor(adapted, "unknown")
    assert not (tmp_path / "unknown").exists()


def test_a_bare_backbone_that_has_adaptors_already_is_refused(toy_backbone: ReconstructionBackbone) -> None:
    attach_adaptor(toy_backbone, config_of("residual"), "first")
    with pytest.raises(AttachedBackboneError, match="PeftModel"):
        attach_adaptor(toy_backbone, config_of("residual"), "second")


def test_an_unknown_hook_group_is_refused_before_the_backbone_is_touched(toy_backbone: ReconstructionBackbone) -> None:
    before = trace(toy_backbone)
    with pytest.raises(HookPointError, match="nowhere"):
        attach_adaptor(toy_backbone, ResidualAdaptorConfig(hook_groups=["nowhere"]), "lost")
    assert trace(toy_backbone) == before


@pytest.mark.parametrize(
    "setting",
    [
        {"hook_groups": "encoder"},
        {"hook_groups": []},
        {"hook_groups": [1]},
        {"bottleneck_channels": 4.0},
        {"bottleneck_channels": True},
        {"bottleneck_channels": -1},
        {"context_channels": 0},
        {"context_grid": 10**9},
        {"identity_start": "yes"},
    ],
)
def test_settings_of_a_wrong_type_or_range_are_errors_that_name_setting_and_file(
    setting: dict, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    name = next(iter(setting))
    with pytest.raises(AdaptorConfigError, match=name):
        ResidualAdaptorConfig(**setting)
    path = adaptor / "adaptor_config.json"
    config = json.loads(path.read_text())
    config["settings"] |= {"context_grid": 8} | setting
    path.write_text(json.dumps(config))
    before = trace(toy_backbone)
    with pytest.raises(AdaptorFileError, match=name) as caught:
        load_adaptor(toy_backbone, adaptor, "loaded")
    assert str(path) in str(caught.value)
    assert trace(toy_backbone) == before


def test_the_largest_settings_cost_no_memory_before_the_tensors_are_found_not_to_fit(
    adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    path = adaptor / "adaptor_config.json"
    config = json.loads(path.read_text())
    # About 600 MB at each of the backbone's hook points, were they made.
    config["settings"] |= {"context_grid": 8, "context_channels": 4096}
    path.write_text(json.dumps(config))
    with pytest.raises(AdaptorFileError, match="tensors missing"):
        load_adaptor(toy_backbone, adaptor, "huge")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format_version": "1"}', "[]", "\x00"])
def test_any_other_json_is_an_error_that_names_the_file(
    text: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    (adaptor / "adaptor_config.json").write_text(text)
    with pytest.raises(AdaptorFileError, match=r"adaptor_config\.json"):
        load_adaptor(toy_backbone, adaptor, "loaded")


def test_saving_does_not_replace_a_folder_of_other_things(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "eye.png").touch()
    adapted = attach_adaptor(toy_backbone, config_of("residual"), "made")
    with pytest.raises(AdaptorFileError, match="photographs"):
        save_adaptor(adapted, "made", tmp_path / "photographs", METADATA)
    assert (tmp_path / "photographs" / "eye.png").exists()


def test_a_save_that_fails_halfway_leaves_the_previous_adaptor_whole(
    adaptor: Path, toy_backbone: ReconstructionBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in adaptor.iterdir()}
    adapted = attach_adaptor(toy_backbone, config_of("residual"), "newer")

    def fail(*_: object, **__: object) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr(adaptor_files, "render_card", fail)
    with pytest.raises(OSError, match="no space"):
        save_adaptor(adapted, "newer", adaptor, METADATA)
    assert {path.name: path.read_bytes() for path in adaptor.iterdir()} == before
    assert [path.name for path in adaptor.parent.iterdir() if path.name.startswith(".adaptor")] == []


def test_mixed_batches_are_refused_instead_of_ignored(
    toy_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach_adaptor(toy_backbone, config_of("residual"), "first")
    with pytest.raises(MixedBatchError, match="set_adapter"):
        adapted(frames, adapter_names=["first", "first"])
    layer = toy_backbone.get_submodule(toy_backbone.hook_points()[0].name)
    with pytest.raises(MixedBatchError, match="set_adapter"):
        layer(frames, None, adapter_names=["first", "first"])
