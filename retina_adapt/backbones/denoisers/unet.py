"""diffusers' `UNet2DModel`, with the condition concatenated to the noisy latent (Rombach et al. 2022)."""

from diffusers import UNet2DModel
from torch import Tensor, cat, nn

from retina_adapt.backbones.hook_points import HookPoint, residual_block_hook_points
from retina_adapt.backbones.parts import LatentDenoiser, register_part


@register_part
class UNetDenoiser(LatentDenoiser, UNet2DModel):
    """A UNet with twice the latent's channels as input, and the latent's channels as output."""

    @property
    def divisor(self) -> int:
        return int(2 ** (len(self.config.block_out_channels) - 1))

    def denoise(self, noisy_latents: Tensor, timesteps: Tensor, condition_latents: Tensor) -> Tensor:
        return self(cat([noisy_latents, condition_latents], dim=1), timesteps).sample

    def start_at_zero(self) -> None:
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def hook_points(self) -> list[HookPoint]:
        return unet_hook_points(self)


def unet_hook_points(denoiser: nn.Module) -> list[HookPoint]:
    """The UNet's residual blocks on the way down, in the middle and on the way up."""
    points = residual_block_hook_points(denoiser, "down_blocks", "denoiser.down")
    points += residual_block_hook_points(denoiser, "mid_block", "denoiser.mid")
    return points + residual_block_hook_points(denoiser, "up_blocks", "denoiser.up")
