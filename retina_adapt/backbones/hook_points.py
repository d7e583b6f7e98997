"""Hook points: the named places of a backbone where an adaptor may sit."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from retina_adapt.errors import RetinaAdaptError

HookGroup = Literal["encoder", "decoder", "denoiser.down", "denoiser.mid", "denoiser.up"]
HOOK_GROUPS: tuple[HookGroup, ...] = get_args(HookGroup)
HookLayout = Literal["map", "tokens"]


class HookPointError(RetinaAdaptError):
    """A hook group that does not exist, or one that a backbone does not offer."""


@dataclass(frozen=True)
class HookPoint:
    """One place for an adaptor.

    Attributes:
        name: the module's dotted name in the backbone, e.g. `autoencoder.encoder.mid_block.resnets.0`.
        group: which part of the backbone it belongs to.
        channels: channels of the module's output.
        layout: the output is one tensor, either a `map` (batch, channels, height, width) or, in a transformer,
            `tokens` (batch, height * width, channels) of a square map.
    """

    name: str
    group: HookGroup
    channels: int
    layout: HookLayout = "map"


def residual_block_hook_points(module: nn.Module, path: str, group: HookGroup) -> list[HookPoint]:
    """Every diffusers residual block below `module.<path>`, in forward order, as a hook point named `<path>.<…>`."""
    return [
        HookPoint(f"{path}.{name}", group, block.conv2.out_channels)
        for name, block in module.get_submodule(path).named_modules()
        if type(block).__name__ == "ResnetBlock2D"
    ]


def select_hook_points(hook_points: Iterable[HookPoint], groups: Iterable[str]) -> list[HookPoint]:
    """The hook points of the named groups; `denoiser` stands for its three groups.

    Raises:
        HookPointError: for a group that no hook point belongs to.
    """
    hook_points = list(hook_points)
    offered = {point.group for point in hook_points}
    selected: list[HookPoint] = []
    for group in groups:
        found = [point for point in hook_points if point.group == group or point.group.startswith(f"{group}.")]
        if not found:
            raise HookPointError(
                f"this backbone has no hook group '{group}'; it offers {', '.join(sorted(offered))} "
                "(and 'denoiser' for all of the denoiser's)"
            )
        selected += [point for point in found if point not in selected]
    return selected
