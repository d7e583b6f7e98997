"""The network of the serial adaptor."""

import torch.nn.functional as F
from torch import Tensor, nn

from retina_adapt.adaptors.residual.branch import group_norm, start_at_zero
from retina_adapt.adaptors.serial.config import SerialAdaptorConfig


class SerialBranch(nn.Module):
    """GroupNorm, SiLU, 3x3 convolution over all channels.

    For a block's residual h (batch, channels, height, width), the adaptor is A(h) = h + convolution(SiLU(norm(h))) or,
    without `identity_start`, A(h) = convolution(SiLU(norm(h))). The branch returns the change A(h) - h.
    """

    def __init__(self, channels: int, config: SerialAdaptorConfig) -> None:
        super().__init__()
        self.normalize = group_norm(channels)
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        self.identity_start = config.identity_start
        if self.identity_start:
            start_at_zero(self.convolution)

    def forward(self, residual: Tensor) -> Tensor:
        convolved = self.convolution(F.silu(self.normalize(residual)))
        return convolved if self.identity_start else convolved - residual
