"""Configuration of the residual adaptor."""

from dataclasses import dataclass
from typing import ClassVar

from retina_adapt.adaptors.hook_point.config import (
    AdaptorConfigError,
    HookPointAdaptorConfig,
    require_bool,
    require_number,
)
from retina_adapt.adaptors.registration import AdaptorKind

# The grid is part of no tensor's shape, so without a limit a small file could ask for any amount of memory.
LARGEST_CONTEXT_GRID = 64


@dataclass
class ResidualAdaptorConfig(HookPointAdaptorConfig):
    """The residual adaptor: output + branch(output), where the branch starts at zero.

    Args:
        bottleneck_channels: hidden channels of the local branch (a 3x3 and a 1x1 convolution); 0 means one 3x3
            convolution over all channels, as in the paper.
        depthwise: let the local branch's 3x3 convolution work on each channel alone, and a 1x1 convolution mix
            channels.
        context_grid: side of the grid to which the context branch pools the feature map; 0 leaves the branch out. The
            branch exists because a 3x3 convolution sees too little of the frame to undo uneven light.
        context_channels: hidden channels of the context branch.
    """

    kind: ClassVar[AdaptorKind] = AdaptorKind.RESIDUAL
    own_settings: ClassVar[tuple[str, ...]] = (
        "hook_groups",
        "identity_start",
        "bottleneck_channels",
        "depthwise",
        "context_grid",
        "context_channels",
    )

    bottleneck_channels: int = 0
    depthwise: bool = False
    context_grid: int = 4
    context_channels: int = 24

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("bottleneck_channels", "context_channels"):
            require_number(name, getattr(self, name))
        require_number("context_grid", self.context_grid, most=LARGEST_CONTEXT_GRID)
        require_bool("depthwise", self.depthwise)
        if self.context_grid and not self.context_channels:
            raise AdaptorConfigError("context_channels is 0; give the context branch channels or set context_grid to 0")
