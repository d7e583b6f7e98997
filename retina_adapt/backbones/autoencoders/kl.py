"""diffusers' `AutoencoderKL`, the autoencoder of latent diffusion (Rombach et al. 2022)."""

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from retina_adapt.backbones.hook_points import HookPoint, residual_block_hook_points
from retina_adapt.backbones.parts import LatentAutoencoder, register_part, seeded_noise


@register_part
class KLAutoencoder(LatentAutoencoder, AutoencoderKL):
    """An autoencoder whose latents are the means of normal distributions, kept near the standard one."""

    @property
    def stride(self) -> int:  # type: ignore[override]  # follows from the configuration
        return 2 ** (len(self.config.block_out_channels) - 1)

    @property
    def latent_channels(self) -> int:  # type: ignore[override]
        return self.config.latent_channels

    def to_latents(self, centered: Tensor) -> Tensor:
        return self.encode(centered).latent_dist.mean

    def from_latents(self, latents: Tensor) -> Tensor:
        return self.decode(latents).sample

    def reconstruct(self, centered: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Decode a sample from the distribution; the loss is `kl_divergence`."""
        distribution = self.encode(centered).latent_dist
        mean, log_variance = distribution.mean, distribution.logvar
        noise = seeded_noise(seeds, tuple(mean.shape[1:]), like=mean)
        latents = mean + torch.exp(0.5 * log_variance) * noise
        return self.from_latents(latents), kl_divergence(mean, log_variance)

    def hook_points(self) -> list[HookPoint]:
        return autoencoder_hook_points(self)

    def last_layer(self) -> nn.Parameter:
        return self.decoder.conv_out.weight


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), averaged over all latent values (Kingma and Welling 2014, eq. 10)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()


def autoencoder_hook_points(autoencoder: nn.Module) -> list[HookPoint]:
    """The residual blocks of both halves of an autoencoder in diffusers' common layout."""
    points = residual_block_hook_points(autoencoder, "encoder", "encoder")
    return points + residual_block_hook_points(autoencoder, "decoder", "decoder")
