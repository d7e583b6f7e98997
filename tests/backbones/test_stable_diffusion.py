"""A backbone from a folder in Stable Diffusion's layout: what is kept of it, and folders that cannot be used."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import safetensors.torch
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from retina_adapt.backbones import BackboneShape, BackboneShapeError, build_backbone

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def checkpoint(toy_stable_diffusion: Callable[[int], Path], tmp_path: Path) -> Path:
    """A copy of the toy checkpoint, to be changed."""
    return Path(copytree(toy_stable_diffusion(3), tmp_path / "checkpoint"))


@pytest.fixture
def shape(checkpoint: Path) -> BackboneShape:
    return BackboneShape(name="stable-diffusion", image_size=64, pretrained=str(checkpoint))


def edit_config(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file(tensors, path)


@torch.no_grad()
def test_untrained_it_predicts_what_the_checkpoint_does_whatever_the_condition(
    checkpoint: Path, shape: BackboneShape
) -> None:
    unet = UNet2DConditionModel.from_pretrained(checkpoint, subfolder="unet")
    noisy, timesteps = torch.randn(2, 4, 16, 16), torch.tensor([3, 700])
    expected = unet(noisy, timesteps, encoder_hidden_states=torch.zeros(2, 77, 8)).sample
    backbone = build_backbone(shape)
    for condition in (torch.zeros_like(noisy), torch.randn_like(noisy)):
        torch.testing.assert_close(backbone.predict(noisy, timesteps, condition), expected)


@torch.no_grad()
def test_its_latents_are_scaled_as_the_checkpoints_are(checkpoint: Path, shape: BackboneShape, frames: Tensor) -> None:
    edit_config(checkpoint / "vae/config.json", scaling_factor=0.3, shift_factor=0.1)
    vae = AutoencoderKL.from_pretrained(checkpoint, subfolder="vae")
    expected = (vae.encode(frames * 2 - 1).latent_dist.mean - 0.1) * 0.3
    torch.testing.assert_close(build_backbone(shape).encode(frames), expected)


def test_its_noise_schedule_is_the_checkpoints(checkpoint: Path, shape: BackboneShape) -> None:
    edit_config(checkpoint / "scheduler/scheduler_config.json", prediction_type="v_prediction", beta_end=0.02)
    scheduler = build_backbone(shape).scheduler
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.betas[-1] == pytest.approx(0.02)
    # Latents of photographs are not bounded by 1.
    assert not scheduler.config.clip_sample


def test_a_denoiser_that_knows_a_condition_already_is_taken_as_it_is(checkpoint: Path, shape: BackboneShape) -> None:
    wide = torch.randn(16, 8, 3, 3)
    edit_tensors(checkpoint / UNET, lambda tensors: tensors.update({"conv_in.weight": wide}))
    edit_config(checkpoint / "unet/config.json", in_channels=8)
    assert torch.equal(build_backbone(shape).denoiser.conv_in.weight, wide)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda f: f.rename(f.with_name("elsewhere")), "vae.*cannot be read"),
    "no scheduler": (lambda f: (f / "scheduler/scheduler_config.json").unlink(), "scheduler.*cannot be read"),
    "pickled weights": (
        lambda f: (f / UNET).rename(f / "unet/diffusion_pytorch_model.bin"),
        "unet.*Weights must be in safetensors",
    ),
    "truncated weights": (lambda f: (f / UNET).write_bytes((f / UNET).read_bytes()[:-9]), "unet.*cannot be read"),
    "a missing tensor": (
        lambda f: edit_tensors(f / UNET, lambda tensors: tensors.pop("conv_out.bias")),
        r"unet: missing tensors, the first being 'conv_out\.bias'",
    ),
    "an unexpected tensor": (
        lambda f: edit_tensors(f / UNET, lambda tensors: tensors.update(stray=torch.zeros(1))),
        "unet: unexpected tensors, the first being 'stray'",
    ),
    "a misshapen tensor": (
        lambda f: edit_tensors(f / UNET, lambda tensors: tensors.update({"conv_out.bias": torch.zeros(3)})),
        r"unet.*conv_out\.bias",
    ),
    "a schedule of another kind": (
        lambda f: edit_config(f / "scheduler/scheduler_config.json", beta_schedule="cosine"),
        "scheduler.*cannot be read: cosine",
    ),
    "an option of another type": (
        lambda f: edit_config(f / "vae/config.json", block_out_channels="16"),
        "vae.*cannot be read",
    ),
    "a denoiser of other latents": (
        lambda f: (
            edit_config(f / "unet/config.json", in_channels=5),
            edit_tensors(f / UNET, lambda tensors: tensors.update({"conv_in.weight": torch.zeros(16, 5, 3, 3)})),
        ),
        "unet: takes 5 channels; expected the latents' 4",
    ),
    "a denoiser of classes": (
        lambda f: (
            edit_config(f / "unet/config.json", num_class_embeds=2),
            edit_tensors(f / UNET, lambda t: t.update({"class_embedding.weight": torch.zeros(2, 64)})),
        ),
        r"unet: has other conditions than one text embedding \(num_class_embeds\)",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_that_does_not_fit_is_an_error_that_names_the_part(
    damage: str, checkpoint: Path, shape: BackboneShape
) -> None:
    make_damage, reason = DAMAGES[damage]
    make_damage(checkpoint)
    with pytest.raises(BackboneShapeError, match=f"(?s){reason}") as caught:
        build_backbone(shape)
    assert str(checkpoint) in str(caught.value)


def test_without_a_folder_or_with_other_images_it_says_what_to_set(shape: BackboneShape) -> None:
    with pytest.raises(BackboneShapeError, match=r"set backbone\.pretrained"):
        build_backbone(replace(shape, pretrained=None))
    with pytest.raises(BackboneShapeError, match=r"of 3 channels, not 1; set backbone\.image_channels"):
        build_backbone(replace(shape, image_channels=1))
    with pytest.raises(BackboneShapeError, match=r"image_size is 66; .*vae needs a multiple of 4"):
        build_backbone(replace(shape, image_size=66))
