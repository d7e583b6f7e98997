"""What the autoencoders promise beyond the contracts: their losses, their start, what their latents depend on."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from retina_adapt.backbones import IsotropicAutoencoder, ReconstructionBackbone
from retina_adapt.backbones.autoencoders.kl import kl_divergence

ToyBackbones = Callable[..., ReconstructionBackbone]


def smooth_images(count: int = 3, channels: int = 3, size: int = 64) -> Tensor:
    """Images (count, channels, size, size) in [-1, 1] whose neighbouring pixels are alike, as in a photograph."""
    noise = torch.randn(count, channels, size // 8, size // 8, generator=torch.Generator().manual_seed(4))
    fine = torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(5))
    return (F.interpolate(noise, size=size, mode="bicubic") + 0.2 * fine).clamp(-3, 3) / 3


def test_kl_divergence_is_that_of_normal_distributions() -> None:
    mean, log_variance = torch.rand(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)


@pytest.mark.parametrize("name", ["kl-unet", "isotropic-unet"])
def test_noise_on_the_latents_follows_each_images_seed(
    name: str, toy_backbone_of: ToyBackbones, frames: Tensor
) -> None:
    backbone = toy_backbone_of(name)
    images, _ = backbone.reconstruct(frames, seeds=[1, 2])
    other, _ = backbone.reconstruct(frames, seeds=[3, 2])
    torch.testing.assert_close(other[1], images[1])
    assert not torch.allclose(other[0], images[0])


def test_quantisation_chooses_the_nearest_code_and_passes_gradients_straight_through(
    toy_backbone_of: ToyBackbones, frames: Tensor
) -> None:
    autoencoder = toy_backbone_of("vq-unet").autoencoder
    latents = autoencoder.to_latents(F.pixel_unshuffle(frames * 2 - 1, 2))
    codes = autoencoder.quantize.embedding.weight
    squares = (latents.movedim(1, -1).unsqueeze(-2) - codes).square().sum(-1)
    nearest = codes[squares.argmin(-1)].movedim(-1, 1)
    # Decoding quantises; so decoding the codes themselves is the same.
    torch.testing.assert_close(autoencoder.from_latents(latents), autoencoder.from_latents(nearest))
    latents.requires_grad_(True)
    autoencoder.from_latents(latents).sum().backward()
    assert latents.grad.abs().max() > 0


def principal_reconstruction(inputs: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Each pixel's values projected on the leading eigenvectors of their covariance; and the standardised scores."""
    values = inputs.movedim(1, -1).double()
    rows = values.reshape(-1, values.shape[-1])
    centered = rows - rows.mean(0)
    variances, vectors = torch.linalg.eigh(centered.T @ centered / (len(rows) - 1))
    leading, deviations = vectors[:, -components:], variances[-components:].sqrt()
    scores = centered @ leading
    projected = (scores @ leading.T + rows.mean(0)).reshape(values.shape).movedim(-1, 1)
    standardised = (scores / deviations).reshape(*values.shape[:-1], components).movedim(-1, 1)
    return projected, standardised.flip(1)


@pytest.mark.parametrize(("width", "latent_channels"), [(16, 6), (64, 6), (16, 16), (64, 60)])
def test_the_isotropic_autoencoder_starts_as_the_projection_on_the_principal_components(
    width: int, latent_channels: int
) -> None:
    inputs = F.pixel_unshuffle(smooth_images(), 4)
    assert inputs.shape[1] == 48
    autoencoder = IsotropicAutoencoder(in_channels=48, width=width, blocks=2, latent_channels=latent_channels)
    autoencoder.start_from(inputs)
    kept = min(48, latent_channels)
    projected, scores = principal_reconstruction(inputs, kept)
    with torch.no_grad():
        latents = autoencoder.to_latents(inputs)
        torch.testing.assert_close(autoencoder.from_latents(latents).double(), projected, rtol=0, atol=1e-4)
    # An eigenvector's sign is free.
    found = latents[:, :kept].double()
    torch.testing.assert_close(found * (found * scores).sum((0, 2, 3), keepdim=True).sign(), scores, rtol=0, atol=1e-3)
    assert latents[:, kept:].abs().sum() == 0


def test_the_start_leaves_out_what_has_no_variance() -> None:
    grey = smooth_images()[:, :1].expand(-1, 3, -1, -1)
    inputs = F.pixel_unshuffle(grey, 2)
    autoencoder = IsotropicAutoencoder(in_channels=12, width=32, blocks=1, latent_channels=8)
    autoencoder.start_from(inputs)
    projected, _ = principal_reconstruction(inputs, 4)
    with torch.no_grad():
        latents = autoencoder.to_latents(inputs)
        torch.testing.assert_close(autoencoder.from_latents(latents).double(), projected, rtol=0, atol=1e-4)
    assert (latents.std((0, 2, 3)) > 0.9).tolist() == [True] * 4 + [False] * 4
    assert latents.abs().max() < 100


def test_the_start_leaves_features_for_the_blocks_to_learn_with() -> None:
    inputs = F.pixel_unshuffle(smooth_images(), 2)
    autoencoder = IsotropicAutoencoder(in_channels=12, width=32, blocks=1, latent_channels=4)
    autoencoder.start_from(inputs)
    with torch.no_grad():
        for half, values in ((autoencoder.encoder, inputs), (autoencoder.decoder, autoencoder.to_latents(inputs))):
            features = half.conv_in(values)
            assert (features.std((0, 2, 3))[12:] > 0).all()


def test_an_isotropic_pixel_depends_on_its_surroundings_alone() -> None:
    torch.manual_seed(0)
    blocks, crop = 2, 24
    autoencoder = IsotropicAutoencoder(in_channels=12, width=16, blocks=blocks, latent_channels=4)
    with torch.no_grad():
        for parameter in autoencoder.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
        frame = F.pixel_unshuffle(smooth_images(size=96), 2)
        brightened = frame.clone()
        brightened[..., crop:, :] = 1
        reach = 2 + 2 * blocks
        for run, border in ((autoencoder.to_latents, reach), (passed_through(autoencoder), 2 * reach)):
            inside = slice(border, crop - border)
            expected = run(frame[..., :crop, :crop])[..., inside, inside]
            for surroundings in (frame, brightened):
                torch.testing.assert_close(run(surroundings)[..., inside, inside], expected, rtol=1e-4, atol=1e-5)


def passed_through(autoencoder: IsotropicAutoencoder) -> Callable[[Tensor], Tensor]:
    return lambda inputs: autoencoder.from_latents(autoencoder.to_latents(inputs))


def test_the_start_follows_from_the_images_alone(toy_backbone_of: ToyBackbones, frames: Tensor) -> None:
    backbone = toy_backbone_of("isotropic-unet")
    other = deepcopy(backbone)
    for seed, one in enumerate((backbone, other)):
        torch.manual_seed(seed)
        one.start_from(frames)
    assert other.fingerprint() == backbone.fingerprint()
    before = backbone.encode(frames)
    backbone.measure_latents([frames])
    # The start standardises already; measuring finds next to nothing to do.
    torch.testing.assert_close(backbone.encode(frames), before, rtol=0, atol=0.02)
