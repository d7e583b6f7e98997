"""Every registered backbone: shapes, storage, fingerprint, hook points, sampling."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from retina_adapt.backbones import (
    BackboneFileError,
    BackboneShape,
    HookPointError,
    MissingDenoiserError,
    NoiseSchedule,
    NoiseScheduleError,
    ReconstructionBackbone,
    UnknownBackboneError,
    backbone_names,
    build_backbone,
    fingerprint_tensors,
    load_backbone,
    register_backbone,
    sample_latents,
    save_backbone,
    select_hook_points,
)

WEIGHTS = "autoencoder/diffusion_pytorch_model.safetensors"


@pytest.fixture(params=backbone_names())
def backbone(request: pytest.FixtureRequest, toy_shape: BackboneShape) -> ReconstructionBackbone:
    torch.manual_seed(0)
    return build_backbone(dataclasses.replace(toy_shape, name=request.param)).eval().requires_grad_(False)


def test_latents_and_images_have_the_stated_shapes(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    latents = backbone.encode(frames)
    assert latents.shape == (2, backbone.latent_channels, 64 // backbone.stride, 64 // backbone.stride)
    assert backbone.decode(latents).shape == frames.shape
    assert backbone.predict(latents, torch.tensor([1, 2]), latents).shape == latents.shape


def test_scaling_latents_is_undone_exactly_enough(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    backbone.autoencoder.register_to_config(scaling_factor=0.31, shift_factor=0.7)
    unscaled = backbone.moments(frames)[0]
    torch.testing.assert_close(backbone.unscale_latents(backbone.encode(frames)), unscaled)


def test_a_stored_backbone_gives_the_same_bits_and_fingerprint_in_a_new_process(
    backbone: ReconstructionBackbone, frames: Tensor, tmp_path: Path
) -> None:
    backbone.autoencoder.register_to_config(scaling_factor=0.31, shift_factor=0.7)
    save_backbone(backbone, tmp_path / "stored")
    torch.save(frames, tmp_path / "frames.pt")
    script = f"""
import torch
from retina_adapt.backbones import load_backbone
backbone = load_backbone({str(tmp_path / "stored")!r})
latents = backbone.encode(torch.load({str(tmp_path / "frames.pt")!r}))
torch.save((backbone.fingerprint(), latents, backbone.decode(latents)), {str(tmp_path / "out.pt")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    fingerprint, latents, images = torch.load(tmp_path / "out.pt")
    assert fingerprint == backbone.fingerprint()
    assert torch.equal(latents, backbone.encode(frames))
    assert torch.equal(images, backbone.decode(latents))


def test_the_fingerprint_sees_one_bit_and_not_the_memory_format(backbone: ReconstructionBackbone) -> None:
    before = backbone.fingerprint()
    assert backbone.to(memory_format=torch.channels_last).fingerprint() == before
    parameter = next(backbone.parameters())
    parameter[(0,) * parameter.ndim] += 1e-6
    assert backbone.fingerprint() != before


def test_the_fingerprint_sees_names_shapes_and_types() -> None:
    tensor = torch.zeros(2, 3)
    variants = [{"a": tensor}, {"b": tensor}, {"a": tensor.view(3, 2)}, {"a": tensor.bfloat16()}]
    assert len({fingerprint_tensors(variant) for variant in variants}) == len(variants)


def test_hook_points_are_unique_modules_with_the_stated_channels(
    backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    points = backbone.hook_points()
    assert len({point.name for point in points}) == len(points)
    seen: dict[str, int] = {}
    for point in points:
        backbone.get_submodule(point.name).register_forward_hook(
            lambda _module, _inputs, output, name=point.name: seen.update({name: output.shape[1]})
        )
    latents = backbone.encode(frames)
    backbone.decode(latents)
    backbone.predict(latents, torch.tensor(1), latents)
    assert seen == {point.name: point.channels for point in points}
    assert {point.group for point in points} == {"encoder", "decoder", "denoiser.down", "denoiser.mid", "denoiser.up"}


def test_a_group_stands_for_the_groups_below_it(backbone: ReconstructionBackbone) -> None:
    points = backbone.hook_points()
    below = select_hook_points(points, ["denoiser.down", "denoiser.mid", "denoiser.up"])
    assert select_hook_points(points, ["denoiser"]) == below
    with pytest.raises(HookPointError, match="it offers"):
        select_hook_points(points, ["encodr"])


def test_sampling_depends_on_each_rows_seed_alone(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    condition = backbone.encode(frames)
    together = sample_latents(backbone, condition, steps=3, seeds=[5, 6])
    assert torch.equal(together, sample_latents(backbone, condition, steps=3, seeds=[5, 6]))
    alone = sample_latents(backbone, condition[1:], steps=3, seeds=[6])
    # Convolutions of another batch size may sum in another order.
    torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together, sample_latents(backbone, condition, steps=3, seeds=[7, 8]), atol=1e-3)


def test_an_untrained_denoiser_that_predicts_the_change_returns_its_condition(
    toy_shape: BackboneShape, frames: Tensor
) -> None:
    schedule = NoiseSchedule(prediction_type="sample", predicts_change=True)
    backbone = build_backbone(dataclasses.replace(toy_shape, noise_schedule=schedule)).eval().requires_grad_(False)
    condition = backbone.encode(frames)
    for start in (1.0, 0.25):
        torch.testing.assert_close(sample_latents(backbone, condition, steps=2, seeds=[1, 2], start=start), condition)


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


def test_a_backbone_without_a_denoiser_says_so(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    toy_backbone.denoiser = None
    save_backbone(toy_backbone, tmp_path / "half")
    latents = torch.zeros(1, 4, 16, 16)
    with pytest.raises(MissingDenoiserError, match="reconstruct_denoiser"):
        load_backbone(tmp_path / "half").predict(latents, torch.tensor(1), latents)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda f: f.rename(f.with_name("elsewhere")), "model_index.json: no such file"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "incomplete"),
    "pickled weights instead": (
        lambda f: (f / WEIGHTS).rename(f / "autoencoder/diffusion_pytorch_model.bin"),
        "incomplete",
    ),
    "truncated weights": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-9]), "does not fit"),
    "broken index": (lambda f: (f / "model_index.json").write_text("[1"), "not valid JSON"),
    "unknown setting": (
        lambda f: (f / "model_index.json").write_text(
            (f / "model_index.json").read_text().replace("image_size", "image_sighs")
        ),
        "image_sighs",
    ),
    "unknown class": (
        lambda f: (f / "model_index.json").write_text(
            (f / "model_index.json").read_text().replace("AutoencoderKL", "os.system")
        ),
        "os.system",
    ),
    "another shape": (
        lambda f: (f / "autoencoder/config.json").write_text(
            json.dumps(json.loads((f / "autoencoder/config.json").read_text()) | {"latent_channels": 6})
        ),
        "size mismatch",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backbone_is_an_error_that_names_the_file(damage: str, toy_backbone_folder: Path) -> None:
    make_damage, message = DAMAGES[damage]
    make_damage(toy_backbone_folder)
    with pytest.raises(BackboneFileError, match=message) as caught:
        load_backbone(toy_backbone_folder)
    assert str(toy_backbone_folder) in str(caught.value)


def test_unknown_names_suggest_the_nearest_and_taken_names_are_refused(toy_shape: BackboneShape) -> None:
    with pytest.raises(UnknownBackboneError, match="did you mean 'kl-unet'"):
        build_backbone(dataclasses.replace(toy_shape, name="kl-unte"))
    with pytest.raises(ValueError, match="registered already"):
        register_backbone("kl-unet")(build_backbone)
