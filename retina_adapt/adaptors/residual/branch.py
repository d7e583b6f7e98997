"""The network of the residual adaptor: what it adds at one hook point."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retina_adapt.adaptors.residual.config import ResidualAdaptorConfig

NORMALIZATION_GROUPS = 32


class ResidualBranch(nn.Module):
    """GroupNorm, SiLU, convolution (Yang et al.), and beside them a branch with wide spatial context.

    Maps (batch, channels, height, width) to the same shape. The last convolution of the context branch starts at zero
    and, with `identity_start`, so does that of the local branch: the output is then zero until the first optimiser
    step.
    """

    def __init__(self, channels: int, config: ResidualAdaptorConfig) -> None:
        super().__init__()
        self.normalize = group_norm(channels)
        self.local = local_branch(channels, config)
        self.context = ContextBranch(channels, config) if config.context_grid else None
        if config.identity_start:
            start_at_zero(self.local)
        if self.context is not None:
            start_at_zero(self.context)

    def forward(self, features: Tensor) -> Tensor:
        # In place where no gradient needs the input: on a CPU, allocating a new map costs more than the computation.
        activated = F.silu(self.normalize(features), inplace=not torch.is_grad_enabled())
        change = self.local(activated)
        if self.context is not None:
            # Unnormalised, because this branch must see how bright a region is relative to the rest of the frame.
            change = self.context(features, change)
        return change


class ContextBranch(nn.Module):
    """A gain and an offset that vary slowly over the frame, as uneven light, haze and colour casts do.

    The feature map is pooled to a coarse grid and convolved there, and the two resulting maps are enlarged smoothly:
    gain * features + offset is the change (cf. Perez et al. 2018, "FiLM", whose gain and offset are constant over a
    map).
    """

    def __init__(self, channels: int, config: ResidualAdaptorConfig) -> None:
        super().__init__()
        self.grid = config.context_grid
        hidden = config.context_channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(hidden, 2 * channels, 1),
        )

    def forward(self, features: Tensor, change: Tensor) -> Tensor:
        """Add gain * features + offset to `change`, which has the shape of `features`."""
        gain, offset = self.convolutions(pool_to_grid(features, self.grid)).chunk(2, dim=1)
        return torch.addcmul(add_enlarged(change, offset), enlarge_bilinearly(gain, *features.shape[-2:]), features)


def pool_to_grid(maps: Tensor, grid: int) -> Tensor:
    """Means over grid x grid regions, equal to `F.adaptive_avg_pool2d` up to rounding.

    Uses two products with small matrices, like `enlarge_bilinearly`; on a CPU they take a fifth of the time.
    """

    def weights(size: int) -> Tensor:
        # On Apple's GPUs PyTorch pools only sizes that the grid divides.
        device = "cpu" if maps.device.type == "mps" else maps.device
        identity = torch.eye(size, device=device, dtype=maps.dtype)
        return F.adaptive_avg_pool1d(identity, grid).to(maps.device)

    return weights(maps.shape[-2]).T @ maps @ weights(maps.shape[-1])


def enlarge_bilinearly(maps: Tensor, height: int, width: int) -> Tensor:
    """Enlarge (…, h, w) to (…, height, width), equal to bilinear `F.interpolate` up to rounding.

    Uses two products with small matrices: on a CPU, enlarging 96 maps from 4x4 to 64x64 takes a tenth of the time, and
    a whole adapted pass takes a tenth less.
    """
    return _bilinear_weights(maps, -2, height) @ maps @ _bilinear_weights(maps, -1, width).T


def add_enlarged(maps: Tensor, coarse: Tensor) -> Tensor:
    """Add `coarse` (batch, channels, h, w), enlarged, to `maps` (batch, channels, height, width) in one pass."""
    height, width = maps.shape[-2:]
    rows, columns = _bilinear_weights(coarse, -2, height), _bilinear_weights(coarse, -1, width)
    stacked = maps.flatten(0, 1)
    return torch.baddbmm(stacked, rows.expand(len(stacked), -1, -1), (coarse @ columns.T).flatten(0, 1)).view_as(maps)


def _bilinear_weights(maps: Tensor, dimension: int, target: int) -> Tensor:
    """The matrix (target, size) that enlarges one dimension of `maps`."""
    size = maps.shape[dimension]
    identity = torch.eye(size, device=maps.device, dtype=maps.dtype)[None, None]
    return F.interpolate(identity, size=(target, size), mode="bilinear", align_corners=False)[0, 0]


def group_norm(channels: int) -> nn.GroupNorm:
    """The paper's normalisation; its number of groups is reduced where it does not divide the channels."""
    return nn.GroupNorm(math.gcd(NORMALIZATION_GROUPS, channels), channels)


def local_branch(channels: int, config: ResidualAdaptorConfig) -> nn.Module:
    """One 3x3 convolution or, with a bottleneck, a 3x3 into it and a 1x1 back.

    With `depthwise`, a 3x3 on each channel alone comes first, and the convolutions that mix channels are all 1x1.
    """
    hidden = config.bottleneck_channels
    if not config.depthwise and not hidden:
        return nn.Conv2d(channels, channels, 3, padding=1)
    layers: list[nn.Module] = []
    if config.depthwise:
        layers.append(nn.Conv2d(channels, channels, 3, padding=1, groups=channels))
    if hidden:
        layers.append(nn.Conv2d(channels, hidden, 1) if config.depthwise else nn.Conv2d(channels, hidden, 3, padding=1))
        layers.append(nn.SiLU())
    layers.append(nn.Conv2d(hidden or channels, channels, 1))
    return nn.Sequential(*layers)


def start_at_zero(module: nn.Module) -> None:
    """Make the last convolution output zero."""
    last = [child for child in module.modules() if isinstance(child, nn.Conv2d)][-1]
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
