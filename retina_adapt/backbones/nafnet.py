"""A restoration network without diffusion: NAFNet (Chen et al. 2022), pretrained to reconstruct its input.

The skip connections between NAFNet's two halves are left out: with them, reconstruction would be the identity and
nothing would be learnt. Only the latent passes from encoder to decoder.
"""

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from retina_adapt.backbones.builders import backbone_settings
from retina_adapt.backbones.hook_points import HookPoint
from retina_adapt.backbones.parts import LatentAutoencoder, register_part
from retina_adapt.backbones.reconstruction_backbone import ReconstructionBackbone
from retina_adapt.backbones.registry import register_backbone
from retina_adapt.backbones.shape import BackboneShape, BackboneShapeError


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        return self.norm(features.movedim(1, -1)).movedim(-1, 1)


class NAFBlock(nn.Module):
    """A nonlinear-activation-free block, which gates by multiplying the two halves of the channels.

    It makes two residual steps, each scaled by a learnt factor per channel that starts at 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mixing_norm = ChannelNorm(channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.attention = nn.Conv2d(channels, channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        self.mixing_scale = nn.Parameter(torch.zeros(channels, 1, 1))
        self.feed_forward_norm = ChannelNorm(channels)
        self.feed_forward_in = nn.Conv2d(channels, 2 * channels, 1)
        self.feed_forward_out = nn.Conv2d(channels, channels, 1)
        self.feed_forward_scale = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        mixed = _gate(self.depthwise(self.expand(self.mixing_norm(features))))
        mixed = mixed * self.attention(F.adaptive_avg_pool2d(mixed, 1))
        features = features + self.mixing_scale * self.project(mixed)
        forwarded = self.feed_forward_out(_gate(self.feed_forward_in(self.feed_forward_norm(features))))
        return features + self.feed_forward_scale * forwarded


@register_part
class NAFNetAutoencoder(LatentAutoencoder, ModelMixin, ConfigMixin):
    """NAFNet's two halves.

    Args:
        in_channels: channels of the input and the output.
        channels: channels of each level, from fine to coarse; each further level halves the resolution.
        blocks_per_level: NAF blocks of each level in each half.
        latent_channels: channels of the latent, at the coarsest level's resolution.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        in_channels: int = 3,
        channels: tuple[int, ...] = (32, 64),
        blocks_per_level: int = 1,
        latent_channels: int = 8,
    ) -> None:
        super().__init__()
        self.stride, self.latent_channels = 2 ** (len(channels) - 1), latent_channels
        self.encoder, self.decoder = nn.ModuleList([nn.Conv2d(in_channels, channels[0], 3, padding=1)]), nn.ModuleList()
        for index, width in enumerate(channels):
            self.encoder.extend(NAFBlock(width) for _ in range(blocks_per_level))
            is_last = index == len(channels) - 1
            self.encoder.append(
                nn.Conv2d(width, latent_channels, 1) if is_last else nn.Conv2d(width, channels[index + 1], 2, stride=2)
            )
        self.decoder.append(nn.Conv2d(latent_channels, channels[-1], 1))
        for index, width in reversed(list(enumerate(channels))):
            self.decoder.extend(NAFBlock(width) for _ in range(blocks_per_level))
            if index:
                enlarge = nn.Conv2d(width, 4 * channels[index - 1], 1)
                self.decoder.append(nn.Sequential(enlarge, nn.PixelShuffle(2)))
        self.decoder.append(nn.Conv2d(channels[0], in_channels, 3, padding=1))
        self.gradient_checkpointing = False

    def to_latents(self, centered: Tensor) -> Tensor:
        return self._run(self.encoder, centered)

    def from_latents(self, latents: Tensor) -> Tensor:
        return self._run(self.decoder, latents)

    def hook_points(self) -> list[HookPoint]:
        return [
            HookPoint(f"{group}.{index}", group, block.project.out_channels)
            for group in ("encoder", "decoder")
            for index, block in enumerate(getattr(self, group))
            if isinstance(block, NAFBlock)
        ]

    def last_layer(self) -> nn.Parameter:
        return self.decoder[-1].get_parameter("weight")

    def _run(self, layers: nn.ModuleList, features: Tensor) -> Tensor:
        for layer in layers:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                features = self._gradient_checkpointing_func(layer, features)
            else:
                features = layer(features)
        return features


@register_backbone("nafnet")
def build_nafnet(shape: BackboneShape) -> ReconstructionBackbone:
    """Build a backbone of an autoencoder alone, which allows only the enhancement mode `fast`."""
    shape.require_untrained()
    stride = shape.autoencoder.space_to_depth * 2 ** (len(shape.autoencoder.channels) - 1)
    if shape.image_size % stride:
        raise BackboneShapeError(
            f"backbone.image_size is {shape.image_size}; an autoencoder of {len(shape.autoencoder.channels)} levels "
            f"needs a multiple of {stride}"
        )
    autoencoder = NAFNetAutoencoder(
        in_channels=shape.image_channels * shape.autoencoder.space_to_depth**2,
        channels=tuple(shape.autoencoder.channels),
        blocks_per_level=shape.autoencoder.blocks_per_level,
        latent_channels=shape.autoencoder.latent_channels,
    )
    settings = backbone_settings(shape)
    return ReconstructionBackbone(autoencoder, None, None, settings)


def _gate(features: Tensor) -> Tensor:
    first, second = features.chunk(2, dim=1)
    return first * second
