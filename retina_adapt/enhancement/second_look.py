"""Combine two looks at a photograph as `detail="fine"` does, differentiably, to train adaptors on both at once."""

import torch.nn.functional as F
from torch import Tensor

from retina_adapt.enhancement.tiles import CROSSOVER
from retina_adapt.objectives.gaussian import gaussian_blur


def combine_looks(frame_change: Tensor, larger_change: Tensor) -> Tensor:
    """Combine what is coarse in the change of a frame with what is fine in the change of a larger copy.

    The border between the two is `CROSSOVER` pixels of the frame. `Enhancer` also gives the photograph's own detail the
    change's local gain; that changes only what is finer than the border, so it is left out here.

    Args:
        frame_change: enhanced minus low of the frame, (batch, channels, f, f).
        larger_change: the same of the larger copy, (batch, channels, n, n), n a multiple of f.

    Returns:
        The change of the larger copy, (batch, channels, n, n).
    """
    side = larger_change.shape[-1]
    enlarged = F.interpolate(frame_change, size=(side, side), mode="bilinear", align_corners=False)
    difference = larger_change - enlarged
    deviation = CROSSOVER * side / frame_change.shape[-1]
    within = gaussian_blur(difference.new_ones(1, 1, side, side), deviation)
    return larger_change - gaussian_blur(difference, deviation) / within
