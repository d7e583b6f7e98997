"""Conversion between tokens and feature maps, so that one network serves convolutional and transformer blocks."""

import math

from torch import Tensor

from retina_adapt.backbones import HookPoint
from retina_adapt.errors import RetinaAdaptError


class HookLayoutError(RetinaAdaptError):
    """A block's output does not match the layout or channels that its hook point states."""


def to_map(features: Tensor, point: HookPoint) -> Tensor:
    """A hook point's output as a map (batch, channels, height, width).

    Raises:
        HookLayoutError: the output's shape contradicts the hook point's layout or channels, or its tokens do not form
            a square.
    """
    if point.layout == "map":
        if features.dim() != 4:
            raise HookLayoutError(
                f"{point.name}: gave {tuple(features.shape)}, but its layout is a map (batch, channels, height, width)"
            )
        _require_channels(features.shape[1], point)
        return features
    if features.dim() != 3:
        raise HookLayoutError(
            f"{point.name}: gave {tuple(features.shape)}, but its layout is tokens (batch, height * width, channels)"
        )
    batch, tokens, channels = features.shape
    _require_channels(channels, point)
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise HookLayoutError(
            f"{point.name}: {tokens} tokens form no square map; give the backbone square frames, and the block no "
            "tokens other than those of the frame"
        )
    return features.transpose(1, 2).reshape(batch, channels, side, side)


def _require_channels(channels: int, point: HookPoint) -> None:
    if channels != point.channels:
        raise HookLayoutError(
            f"{point.name}: gave {channels} channels, but its hook point states {point.channels}; correct the "
            "`hook_points` of the backbone's part"
        )


def from_map(feature_map: Tensor, point: HookPoint) -> Tensor:
    """The inverse of `to_map`."""
    return feature_map if point.layout == "map" else feature_map.flatten(2).transpose(1, 2)
