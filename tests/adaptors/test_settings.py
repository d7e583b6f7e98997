"""A recipe's settings become the configuration of a kind, or an error that says what to change."""

import dataclasses

import pytest
import torch
from peft import LoraConfig
from torch import nn
from toy_adaptors import SETTINGS, attach

from retina_adapt.adaptors import (
    KINDS,
    AdaptorConfigError,
    AdaptorSettings,
    ResidualAdaptorConfig,
    attach_adaptor,
    kind_of,
)
from retina_adapt.adaptors.weight_deltas import target_layers
from retina_adapt.backbones import HookPointError, ReconstructionBackbone


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_configured_with_its_defaults_and_knows_its_name(kind: str) -> None:
    config = AdaptorSettings(kind=kind).to_peft_config()
    assert kind_of(config) == kind
    assert isinstance(config, KINDS[kind].config_class)
    assert config.hook_groups == AdaptorSettings().hook_groups


def test_settings_of_another_kind_are_told() -> None:
    assert AdaptorSettings(rank=2, alpha=3, bottleneck_channels=8).unread() == ["rank", "alpha"]
    assert AdaptorSettings(kind="lora", rank=2, alpha=3, bottleneck_channels=8).unread() == ["bottleneck_channels"]
    assert AdaptorSettings(kind="boft", rank=2, alpha=3, hook_groups=["decoder"]).unread() == ["alpha"]
    assert all(AdaptorSettings(kind=kind).unread() == [] for kind in KINDS)


def test_a_kinds_setting_without_a_field_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    own = (*ResidualAdaptorConfig.own_settings, "dropout")
    monkeypatch.setattr(ResidualAdaptorConfig, "own_settings", own)
    with pytest.raises(
        AdaptorConfigError, match="'residual' has a setting 'dropout', for which AdaptorSettings has no"
    ):
        AdaptorSettings().to_peft_config()


def test_alpha_is_the_rank_unless_it_is_set() -> None:
    assert AdaptorSettings(kind="lora", rank=4).to_peft_config().lora_alpha == 4
    assert AdaptorSettings(kind="lora", rank=4, alpha=8).to_peft_config().lora_alpha == 8
    assert AdaptorSettings(kind="lokr", rank=4, alpha=8).to_peft_config().alpha == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "oft"}, "'oft' is not offered.*not the identity.*boft"),
        ({"kind": "residul"}, "did you mean 'residual'"),
        ({"kind": "prompt"}, "known are residual, serial, lora"),
        ({"kind": "lora", "rank": 0}, "whole number from 1 to 4096"),
        ({"kind": "lora", "rank": True}, "r is True"),
        ({"kind": "dora", "alpha": -1}, "lora_alpha is -1"),
        ({"kind": "loha", "alpha": 1.5}, "alpha is 1.5"),
        ({"kind": "boft", "rank": 5000}, "boft_block_size is 5000"),
        ({"kind": "boft", "rank": 0}, "boft_block_size is 0"),
        ({"kind": "lokr", "hook_groups": []}, "hook_groups"),
        ({"kind": "serial", "hook_groups": "encoder"}, "hook_groups"),
        ({"kind": "serial", "identity_start": "yes"}, "identity_start"),
        ({"kind": "residual", "depthwise": 1}, "depthwise"),
        ({"kind": "residual", "bottleneck_channels": -1}, "bottleneck_channels"),
    ],
)
def test_settings_that_cannot_be_are_errors_that_name_them(settings: dict, message: str) -> None:
    with pytest.raises(AdaptorConfigError, match=message):
        AdaptorSettings(**settings).to_peft_config()


@pytest.mark.parametrize(
    "setting",
    [
        {"hook_groups": [1]},
        {"bottleneck_channels": 4.0},
        {"bottleneck_channels": True},
        {"context_channels": 0},
        {"context_grid": 65},
    ],
)
def test_a_configuration_checks_the_type_and_range_of_its_settings(setting: dict) -> None:
    with pytest.raises(AdaptorConfigError, match=next(iter(setting))):
        ResidualAdaptorConfig(**setting)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].mergeable])
def test_weight_kinds_change_every_linear_layer_and_convolution_inside_the_hook_points_and_none_outside(
    kind: str, backbone: ReconstructionBackbone
) -> None:
    settings = dataclasses.replace(SETTINGS[kind], hook_groups=["decoder", "denoiser.mid"])
    points = [point.name for point in backbone.hook_points() if point.group in settings.hook_groups]
    expected = {
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and name.startswith(tuple(f"{point}." for point in points))
    }
    assert target_layers(backbone, settings.hook_groups).keys() == expected
    adapted = attach_adaptor(backbone, settings.to_peft_config(), "light")
    assert {layer.name.removeprefix("model.") for layer in adapted.get_layer_status()} == expected
    # The same layers are found past attached adaptors.
    assert target_layers(backbone, settings.hook_groups).keys() == expected


def test_depthwise_convolutions_are_left_as_they_are(trained_backbone_of) -> None:
    backbone = trained_backbone_of("nafnet")
    adapted = attach_adaptor(backbone, AdaptorSettings("lora", ["encoder"], rank=3).to_peft_config(), "light")
    changed = {layer.name.rpartition(".")[2] for layer in adapted.get_layer_status()}
    assert "depthwise" not in changed
    assert {"expand", "project"} <= changed


def modules(backbone: ReconstructionBackbone) -> list[str]:
    return [name for name, _ in backbone.named_modules()]


def test_dora_on_a_backbone_with_a_dead_output_is_refused_instead_of_giving_nan(
    small_backbone: ReconstructionBackbone,
) -> None:
    small_backbone.autoencoder.encoder.blocks[0].branch[0].weight[3] = 0
    before = modules(small_backbone)
    with pytest.raises(AdaptorConfigError, match=r"encoder\.blocks\.0\.branch\.0 has an output.*use lora"):
        attach(small_backbone, "dora", "light")
    assert modules(small_backbone) == before


def test_blocks_that_do_not_divide_a_layers_inputs_are_refused_before_the_backbone_is_touched(
    small_backbone: ReconstructionBackbone,
) -> None:
    before = modules(small_backbone)
    with pytest.raises(AdaptorConfigError, match="blocks of 5 do not divide the 144 inputs"):
        attach_adaptor(small_backbone, AdaptorSettings(kind="boft", rank=5).to_peft_config(), "light")
    assert modules(small_backbone) == before


@pytest.mark.parametrize("case", SETTINGS)
def test_an_unknown_hook_group_is_refused_before_the_backbone_is_touched(
    case: str, small_backbone: ReconstructionBackbone
) -> None:
    before = modules(small_backbone)
    config = dataclasses.replace(SETTINGS[case], hook_groups=["nowhere"]).to_peft_config()
    with pytest.raises(HookPointError, match="nowhere"):
        attach_adaptor(small_backbone, config, "light")
    assert modules(small_backbone) == before


def test_pefts_own_configuration_is_refused_with_what_to_give(small_backbone: ReconstructionBackbone) -> None:
    with pytest.raises(AdaptorConfigError, match=r"hook groups.*config_class"):
        attach_adaptor(small_backbone, LoraConfig(target_modules=["conv_in"]), "light")


def test_kinds_cannot_be_mixed_on_one_backbone(small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, "residual", "light")
    before = modules(small_backbone)
    with pytest.raises(AdaptorConfigError, match=r"kind lora and cannot join 'light' \(residual\)"):
        attach(adapted, "lora", "haze")
    assert modules(small_backbone) == before
    assert list(adapted.peft_config) == ["light"]


def test_lora_and_dora_can_be_resident_together(small_backbone: ReconstructionBackbone, frames: torch.Tensor) -> None:
    with torch.no_grad():
        before = small_backbone.encode(frames)
        adapted = attach(small_backbone, "lora", "light")
        attach(adapted, "dora", "haze")
        for name in ("light", "haze"):
            adapted.set_adapter(name)
            assert torch.equal(small_backbone.encode(frames), before)


def test_an_attachment_that_fails_halfway_leaves_no_trace(
    small_backbone: ReconstructionBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = modules(small_backbone)

    def fail_in_the_last_block(self: object, name: str, config: object) -> None:
        if self.point.name.endswith("transformer_blocks.2"):
            raise MemoryError("no memory left")
        original(self, name, config)

    layer_class = "retina_adapt.adaptors.hook_point.layer.HookPointLayer.update_layer"
    from retina_adapt.adaptors.hook_point.layer import HookPointLayer

    original = HookPointLayer.update_layer
    monkeypatch.setattr(layer_class, fail_in_the_last_block)
    with pytest.raises(MemoryError):
        attach(small_backbone, "residual", "light")
    assert modules(small_backbone) == before
    monkeypatch.undo()
    adapted = attach(small_backbone, "residual", "light")
    with_light = modules(small_backbone)
    monkeypatch.setattr(layer_class, fail_in_the_last_block)
    with pytest.raises(MemoryError):
        attach(adapted, "residual", "haze")
    assert modules(small_backbone) == with_light
    assert adapted.active_adapters == ["light"]
    assert list(adapted.peft_config) == ["light"]
