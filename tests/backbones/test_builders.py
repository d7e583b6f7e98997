"""From a configured shape to a backbone: strides, the noise schedule, and shapes that cannot be."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from retina_adapt.backbones import (
    BackboneSettings,
    BackboneShape,
    BackboneShapeError,
    HookPointError,
    NoiseSchedule,
    NoiseScheduleError,
    UnknownBackboneError,
    build_backbone,
    register_backbone,
    register_part,
    select_hook_points,
)
from retina_adapt.backbones.autoencoders import KLAutoencoder
from retina_adapt.errors import DuplicateNameError

ShapeOf = Callable[..., BackboneShape]


@pytest.mark.parametrize("name", ["kl-unet", "vq-unet", "nafnet"])
@pytest.mark.parametrize(
    ("image_channels", "space_to_depth", "levels", "stride"), [(3, 2, 2, 4), (1, 1, 2, 2), (3, 4, 1, 4), (1, 2, 3, 8)]
)
def test_levels_and_space_to_depth_make_the_stride(
    name: str, image_channels: int, space_to_depth: int, levels: int, stride: int, toy_shape_of: ShapeOf
) -> None:
    shape = toy_shape_of(name, image_channels)
    shape.autoencoder = replace(
        shape.autoencoder, channels=[16] * levels, space_to_depth=space_to_depth, latent_channels=5
    )
    backbone = build_backbone(shape).eval().requires_grad_(False)
    images = torch.rand(1, image_channels, 64, 96)
    latents = backbone.encode(images)
    assert backbone.stride == stride
    assert latents.shape == (1, 5, 64 // stride, 96 // stride)
    assert backbone.decode(latents).shape == images.shape


def test_the_settings_are_those_of_the_shape(toy_shape: BackboneShape) -> None:
    toy_shape.noise_schedule = NoiseSchedule(prediction_type="sample", predicts_change=True)
    backbone = build_backbone(replace(toy_shape, image_channels=1))
    assert backbone.settings == BackboneSettings(64, image_channels=1, space_to_depth=2, predicts_change=True)
    assert backbone.denoiser.conv_out.weight.abs().max() == 0


def test_the_noise_schedule_is_the_configured_one(toy_shape: BackboneShape) -> None:
    toy_shape.noise_schedule = NoiseSchedule(
        training_steps=200, beta_start=0.001, beta_end=0.02, prediction_type="epsilon", zero_terminal_snr=False
    )
    scheduler = build_backbone(toy_shape).scheduler
    expected = torch.cumprod(1 - torch.linspace(0.001, 0.02, 200), dim=0)
    torch.testing.assert_close(scheduler.alphas_cumprod, expected)
    toy_shape.noise_schedule = NoiseSchedule(zero_terminal_snr=True)
    assert build_backbone(toy_shape).scheduler.alphas_cumprod[-1] == 0


@pytest.mark.parametrize(
    "values",
    [
        {"predicts_change": True, "prediction_type": "v_prediction"},
        {"prediction_type": "epsilon", "zero_terminal_snr": True},
    ],
)
def test_a_contradictory_noise_schedule_is_refused(values: dict) -> None:
    with pytest.raises(NoiseScheduleError):
        NoiseSchedule(**values)


REFUSED: list[tuple[str, str, dict, str]] = [
    ("kl-unet", "autoencoder", {"normalization_groups": 3}, r"autoencoder: normalization_groups is 3"),
    ("kl-unet", "denoiser", {"normalization_groups": 3}, r"denoiser: normalization_groups is 3"),
    ("vq-unet", "denoiser", {"attention": [True]}, "one for each level"),
    ("kl-unet", "denoiser", {"channels": [16] * 6, "attention": [False] * 6}, "image_size is 64.*multiple of 128"),
    ("kl-unet", "denoiser", {"attention_head_channels": 32}, "attention_head_channels is 32.*16 channels"),
    ("kl-transformer", "denoiser", {"patch_size": 3}, "multiple of 12"),
    ("kl-transformer", "denoiser", {"channels": [16, 16]}, r"denoiser.channels is \[16, 16\]"),
    ("kl-transformer", "denoiser", {"attention_head_channels": 3}, "does not divide"),
    ("kl-transformer", "denoiser", {"blocks_per_level": 2}, "at least 3"),
    ("isotropic-unet", "autoencoder", {"channels": [16, 16]}, r"autoencoder.channels is \[16, 16\]"),
    ("isotropic-unet", "autoencoder", {"latent_channels": 17}, "17 latent_channels from 16 channels"),
    ("kl-unet", "autoencoder", {"channels": []}, r"autoencoder: channels is \[\]"),
    ("kl-unet", "autoencoder", {"normalization_groups": 0}, "normalization_groups is 0"),
    ("kl-unet", "denoiser", {"attention_head_channels": 0}, "attention_head_channels is 0"),
    ("nafnet", "autoencoder", {"channels": [8] * 7}, "image_size is 64; .* 7 levels needs a multiple of"),
]


@pytest.mark.parametrize("values", [{"image_size": 0}, {"image_size": -64}, {"image_channels": 0}], ids=str)
def test_frames_without_pixels_are_refused(values: dict) -> None:
    with pytest.raises(BackboneShapeError, match=f"backbone.{next(iter(values))} is .* at least 1"):
        BackboneShape(**values)


@pytest.mark.parametrize(("name", "part", "values", "reason"), REFUSED, ids=[f"{r[0]}: {r[2]}" for r in REFUSED])
def test_a_shape_that_cannot_be_is_refused_with_its_key(
    name: str, part: str, values: dict, reason: str, toy_shape_of: ShapeOf
) -> None:
    shape = toy_shape_of(name)
    with pytest.raises(BackboneShapeError, match=reason):
        build_backbone(replace(shape, **{part: replace(getattr(shape, part), **values)}))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"beta_schedule": "cosine"}, "beta_schedule is 'cosine'; use linear or scaled_linear or squaredcos_cap_v2"),
        ({"prediction_type": "v_predicton"}, "did you mean 'v_prediction'"),
        ({"training_steps": 0}, "training_steps is 0"),
        ({"training_steps": 1}, "training_steps is 1, but zero_terminal_snr.* at least 2"),
        ({"beta_start": 0.1, "beta_end": 1.5}, "beta_end 1.5"),
        ({"beta_start": 0.1, "beta_end": 0.01}, "must rise"),
    ],
)
def test_a_noise_schedule_that_no_scheduler_knows_is_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(NoiseScheduleError, match=reason):
        NoiseSchedule(**values)


@pytest.mark.parametrize("name", ["kl-unet", "isotropic-transformer", "nafnet"])
def test_a_pretrained_model_that_would_not_be_read_is_refused(name: str, toy_shape_of: ShapeOf) -> None:
    with pytest.raises(BackboneShapeError, match="starts untrained; set backbone"):
        build_backbone(replace(toy_shape_of(name), pretrained="models/somewhere"))


def test_unknown_names_suggest_the_nearest_and_taken_names_are_refused(toy_shape: BackboneShape) -> None:
    with pytest.raises(UnknownBackboneError, match="did you mean 'kl-unet'"):
        build_backbone(replace(toy_shape, name="kl-unte"))
    with pytest.raises(UnknownBackboneError, match=r"known are .*kl-unet"):
        build_backbone(replace(toy_shape, name="?"))
    with pytest.raises(DuplicateNameError, match="registered already; choose"):
        register_backbone("kl-unet")(build_backbone)
    with pytest.raises(DuplicateNameError, match="registered already; choose"):
        register_part(KLAutoencoder)


def test_a_transformers_blocks_are_shared_out_among_its_hook_groups(toy_shape_of: ShapeOf) -> None:
    shape = toy_shape_of("kl-transformer")
    shape.denoiser.blocks_per_level = 7
    points = [point for point in build_backbone(shape).hook_points() if point.group.startswith("denoiser.")]
    assert [point.group.removeprefix("denoiser.") for point in points] == ["down"] * 2 + ["mid"] * 3 + ["up"] * 2


def test_a_group_stands_for_the_groups_below_it(toy_shape: BackboneShape) -> None:
    points = build_backbone(toy_shape).hook_points()
    below = select_hook_points(points, ["denoiser.down", "denoiser.mid", "denoiser.up"])
    assert select_hook_points(points, ["denoiser"]) == below
    assert select_hook_points(points, ["denoiser", "denoiser.mid"]) == below
    with pytest.raises(HookPointError, match="it offers"):
        select_hook_points(points, ["encodr"])
