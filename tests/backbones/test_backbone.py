"""Parts put together: which fit each other, the fingerprint, and gradient checkpointing that a part does not offer."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor

from retina_adapt.backbones import (
    BackboneMismatchError,
    BackboneSettings,
    BackboneShape,
    GradientCheckpointingError,
    HookPoint,
    ImageChannelsError,
    ImageSidesError,
    LatentAutoencoder,
    ReconstructionBackbone,
    SeedCountError,
    build_backbone,
    fingerprint_tensors,
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda shape: replace(shape, image_channels=1), "image_channels is 1"),
        (lambda shape: replace(shape, autoencoder=replace(shape.autoencoder, space_to_depth=1)), "stride is 2"),
        (
            lambda shape: replace(shape, autoencoder=replace(shape.autoencoder, space_to_depth=4, channels=[16])),
            "space_to_depth is 4",
        ),
        (lambda shape: replace(shape, autoencoder=replace(shape.autoencoder, latent_channels=2)), "channels is 2"),
    ],
)
def test_a_denoiser_is_not_put_on_an_autoencoder_of_another_shape(
    change: Callable[[BackboneShape], BackboneShape], reason: str, toy_shape: BackboneShape
) -> None:
    with pytest.raises(BackboneMismatchError, match=reason):
        build_backbone(toy_shape).with_autoencoder_of(build_backbone(change(toy_shape)))


def test_a_backbone_without_its_denoiser_keeps_schedule_and_statistics(toy_backbone: ReconstructionBackbone) -> None:
    toy_backbone.latent_mean.fill_(0.3)
    half = toy_backbone.without_denoiser()
    assert half.denoiser is None
    assert half.scheduler is toy_backbone.scheduler
    assert torch.equal(half.latent_mean, toy_backbone.latent_mean)
    assert {point.group for point in half.hook_points()} == {"encoder", "decoder"}
    assert toy_backbone.denoiser is not None


def test_latent_statistics_do_not_depend_on_how_images_are_batched(
    toy_backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    other = deepcopy(toy_backbone)
    toy_backbone.measure_latents([frames])
    other.measure_latents(iter(frames.split(1)))
    torch.testing.assert_close(other.latent_mean, toy_backbone.latent_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(other.latent_deviation, toy_backbone.latent_deviation, rtol=1e-6, atol=1e-6)


def test_images_of_other_channels_are_refused_with_what_to_set(toy_backbone: ReconstructionBackbone) -> None:
    grey = torch.rand(2, 1, 64, 64)
    for run in (toy_backbone.encode, toy_backbone.start_from, lambda images: toy_backbone.reconstruct(images, [1, 2])):
        with pytest.raises(ImageChannelsError, match=r"have 1 channels.*made for 3.*backbone\.image_channels 1"):
            run(grey)


def test_images_of_other_sides_are_refused_rather_than_cut(backbone: ReconstructionBackbone) -> None:
    wide = torch.rand(2, 3, 64, 32)
    assert backbone.decode(backbone.encode(wide)).shape == wide.shape
    for height, width in ((66, 64), (64, 65)):
        images = torch.rand(2, 3, height, width)
        for run in (backbone.encode, lambda images: backbone.reconstruct(images, [1, 2])):
            with pytest.raises(ImageSidesError, match=rf"{height} x {width} px; .* multiples of {backbone.stride}:"):
                run(images)


def test_images_do_not_share_the_noise_of_a_single_seed(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    for seeds in ([1], [1, 2, 3]):
        with pytest.raises(SeedCountError, match=f"{len(seeds)} seeds for a batch of 2"):
            backbone.reconstruct(frames, seeds)


def test_a_channel_that_says_nothing_has_finite_latents(toy_backbone: ReconstructionBackbone, frames: Tensor) -> None:
    toy_backbone.autoencoder.quant_conv.weight.zero_()
    toy_backbone.measure_latents([frames])
    assert toy_backbone.encode(frames).isfinite().all()


def test_the_fingerprint_sees_names_shapes_and_types() -> None:
    tensor = torch.zeros(2, 3)
    variants = [{"a": tensor}, {"b": tensor}, {"a": tensor.view(3, 2)}, {"a": tensor.bfloat16()}]
    assert len({fingerprint_tensors(variant) for variant in variants}) == len(variants)
    assert fingerprint_tensors({"a": tensor, "b": tensor}) == fingerprint_tensors({"b": tensor, "a": tensor})


class PlainAutoencoder(LatentAutoencoder, ModelMixin, ConfigMixin):
    """The identity; knows no gradient checkpointing."""

    stride, latent_channels = 1, 3

    def to_latents(self, centered: Tensor) -> Tensor:
        return centered

    def from_latents(self, latents: Tensor) -> Tensor:
        return latents

    def hook_points(self) -> list[HookPoint]:
        return []


def test_a_part_without_gradient_checkpointing_says_so() -> None:
    backbone = ReconstructionBackbone(PlainAutoencoder(), None, None, BackboneSettings(image_size=64))
    with pytest.raises(GradientCheckpointingError, match="PlainAutoencoder offers no gradient checkpointing"):
        backbone.enable_gradient_checkpointing()


def test_an_autoencoder_that_says_nothing_of_training_reconstructs_without_a_regularisation(frames: Tensor) -> None:
    backbone = ReconstructionBackbone(PlainAutoencoder(), None, None, BackboneSettings(image_size=64))
    backbone.start_from(frames)
    images, regularization = backbone.reconstruct(frames, seeds=[1, 2])
    torch.testing.assert_close(images, frames)
    assert regularization == 0
