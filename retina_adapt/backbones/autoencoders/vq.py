"""diffusers' `VQModel` (Esser et al. 2021), the autoencoder that the paper (Yang et al.) uses."""

from collections.abc import Sequence

from diffusers import VQModel
from torch import Tensor, nn

from retina_adapt.backbones.autoencoders.kl import autoencoder_hook_points
from retina_adapt.backbones.hook_points import HookPoint
from retina_adapt.backbones.parts import LatentAutoencoder, register_part


@register_part
class VQAutoencoder(LatentAutoencoder, VQModel):
    """An autoencoder whose latents are the encoder's unquantised output (Yang et al.); decoding quantises it first."""

    _supports_gradient_checkpointing = True
    # Only the regularisation loss trains the codes.
    regularization_weight = 1.0

    @property
    def stride(self) -> int:  # type: ignore[override]  # follows from the configuration
        return 2 ** (len(self.config.block_out_channels) - 1)

    @property
    def latent_channels(self) -> int:  # type: ignore[override]
        return self.config.vq_embed_dim or self.config.latent_channels

    def to_latents(self, centered: Tensor) -> Tensor:
        return self.encode(centered).latents

    def from_latents(self, latents: Tensor) -> Tensor:
        return self.decode(latents).sample

    def reconstruct(self, centered: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Quantise with straight-through gradients; the loss pulls codes and latents towards each other."""
        decoded = self.decode(self.to_latents(centered))
        return decoded.sample, decoded.commit_loss

    def hook_points(self) -> list[HookPoint]:
        return autoencoder_hook_points(self)

    def last_layer(self) -> nn.Parameter:
        return self.decoder.conv_out.weight
