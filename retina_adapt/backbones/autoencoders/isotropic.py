"""An autoencoder that works at one resolution, with a straight path from pixels to latents and back.

Principal components of small patches already reconstruct a photograph at above 40 dB. An autoencoder with a
normalisation before its last layer spends its training learning what they give for free; here they are the start, and
residual blocks learn what they lack. Nothing is normalised, so a pixel depends only on its surroundings, not on the
statistics of its frame.
"""

from collections.abc import Callable, Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from retina_adapt.backbones.hook_points import HookPoint
from retina_adapt.backbones.parts import LatentAutoencoder, register_part, seeded_noise

# Factor on PyTorch's default initialisation, for the features that the principal components leave free.
FREE_FEATURE_START = 0.1
# Share of the largest deviation below which a component is taken to have no variance.
NEGLIGIBLE_DEVIATION = 1e-4


class IsotropicBlock(nn.Module):
    """x + convolution(SiLU(convolution(x))), which starts as x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)
        )
        for parameter in self.branch[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.branch(features)


class IsotropicHalf(nn.Module):
    """Convolution, residual blocks, convolution: (batch, in_channels, h, w) to (batch, out_channels, h, w)."""

    # diffusers sets this together with `gradient_checkpointing`.
    _gradient_checkpointing_func: Callable[[nn.Module, Tensor], Tensor]

    def __init__(self, in_channels: int, width: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(IsotropicBlock(width) for _ in range(blocks))
        self.conv_out = nn.Conv2d(width, out_channels, 3, padding=1)
        self.gradient_checkpointing = False

    def forward(self, values: Tensor) -> Tensor:
        features = self.conv_in(values)
        for block in self.blocks:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                features = self._gradient_checkpointing_func(block, features)
            else:
                features = block(features)
        return self.conv_out(features)


@register_part
class IsotropicAutoencoder(LatentAutoencoder, ModelMixin, ConfigMixin):
    """An autoencoder for inputs rearranged from space to depth, where each input pixel is a patch.

    Args:
        in_channels: number of values in a patch.
        width: channels of the residual blocks.
        blocks: residual blocks in each half.
        latent_channels: channels of the latent, at most `width`.
        posterior_deviation: standard deviation of the noise on the latents in training. With it, the regularisation
            loss is, up to a constant, the KL divergence of N(latent, posterior_deviation^2) from N(0, 1).
    """

    _supports_gradient_checkpointing = True
    stride = 1

    @register_to_config
    def __init__(
        self,
        in_channels: int = 48,
        width: int = 64,
        blocks: int = 4,
        latent_channels: int = 8,
        posterior_deviation: float = 0.03,
    ) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.encoder = IsotropicHalf(in_channels, width, latent_channels, blocks)
        self.decoder = IsotropicHalf(latent_channels, width, in_channels, blocks)

    def to_latents(self, centered: Tensor) -> Tensor:
        return self.encoder(centered)

    def from_latents(self, latents: Tensor) -> Tensor:
        return self.decoder(latents)

    def reconstruct(self, centered: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        latents = self.to_latents(centered)
        noise = seeded_noise(seeds, tuple(latents.shape[1:]), like=latents)
        return self.from_latents(latents + self.config.posterior_deviation * noise), 0.5 * (latents**2).mean()

    @torch.no_grad()
    def start_from(self, centered: Tensor) -> None:
        """Initialise the straight path as the projection on the input's principal components, with unit variance."""
        # On the CPU, because Apple's GPUs have no float64.
        patches = centered.movedim(1, -1).flatten(0, -2).cpu().double()
        mean = patches.mean(0)
        variances, components = torch.linalg.eigh(torch.cov((patches - mean).T))
        deviations, components = variances.flip(0).clamp_min(0).sqrt(), components.flip(1)
        # Components without variance (grey photographs in three channels have some) stay uncoded: scaling them to unit
        # variance would amplify rounding errors a millionfold.
        varies = deviations > NEGLIGIBLE_DEVIATION * deviations[0]
        to_unit_variance = torch.where(varies, 1 / deviations, 0)
        kept = min(self.config.in_channels, self.config.width)
        coded = min(kept, self.config.latent_channels)
        for half in (self.encoder, self.decoder):
            for convolution in (half.conv_in, half.conv_out):
                convolution.weight.mul_(FREE_FEATURE_START)
                convolution.get_parameter("bias").zero_()
        # The first features of either half are the components, in order; blocks add to them.
        _set_rows(self.encoder.conv_in, components[:, :kept].T)
        self.encoder.conv_in.get_parameter("bias")[:kept] = -(components[:, :kept].T @ mean)
        self.encoder.conv_out.weight.zero_()
        _set_rows(self.encoder.conv_out, torch.diag(to_unit_variance[:coded]))
        self.decoder.conv_in.weight[:kept] = 0
        _set_rows(self.decoder.conv_in, torch.diag(deviations[:coded]))
        self.decoder.conv_out.weight.zero_()
        _set_rows(self.decoder.conv_out, components[:, :kept])
        self.decoder.conv_out.get_parameter("bias").copy_(mean)

    def hook_points(self) -> list[HookPoint]:
        return [
            HookPoint(f"{group}.blocks.{index}", group, self.config.width)
            for group in ("encoder", "decoder")
            for index in range(self.config.blocks)
        ]

    def last_layer(self) -> nn.Parameter:
        return self.decoder.conv_out.get_parameter("weight")


def _set_rows(convolution: nn.Conv2d, matrix: Tensor) -> None:
    """Make the first outputs `matrix` times the first inputs, pixel by pixel."""
    rows, columns = matrix.shape
    convolution.weight[:rows] = 0
    convolution.weight[:rows, :columns, 1, 1] = matrix.to(convolution.weight)
