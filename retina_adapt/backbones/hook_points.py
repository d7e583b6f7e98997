"""Hook points: the named places in a backbone where an adaptor may sit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean

HookGroup = Literal["encoder", "decoder", "denoiser.down", "denoiser.mid", "denoiser.up"]
HOOK_GROUPS: tuple[HookGroup, ...] = get_args(HookGroup)
HookLayout = Literal["map", "tokens"]
HOOK_LAYOUTS: tuple[HookLayout, ...] = get_args(HookLayout)


class HookPointError(RetinaAdaptError):
    """A hook group that a backbone does not offer, or a hook point where no adaptor can sit."""


@dataclass(frozen=True)
class HookPoint:
    """One place for an adaptor.

    Attributes:
        name: the module's dotted name in the backbone, e.g. `autoencoder.encoder.mid_block.resnets.0`. The module must
            get its input as the first positional argument, have parameters, and contain no other hook point.
        group: the hook group it belongs to.
        channels: channels of the module's output.
        layout: shape of the module's output, a single tensor: `map` is (batch, channels, height, width); `tokens`, in a
            transformer, is (batch, height * width, channels) of a square map.
    """

    name: str
    group: HookGroup
    channels: int
    layout: HookLayout = "map"


def residual_block_hook_points(module: nn.Module, path: str, group: HookGroup) -> list[HookPoint]:
    """Every diffusers residual block under `module.<path>`, in forward order, as a hook point named `<path>.<…>`."""
    return [
        HookPoint(f"{path}.{name}", group, block.conv2.out_channels)
        for name, block in module.get_submodule(path).named_modules()
        if type(block).__name__ == "ResnetBlock2D"
    ]


def require_usable_hook_points(backbone: nn.Module, hook_points: Sequence[HookPoint]) -> None:
    """Refuse hook points where an adaptor would be silently left out, or would fail once attached.

    Raises:
        HookPointError: names the first hook point whose group or layout is unknown, whose module is missing or has no
            parameters, or that is given twice or lies inside another.
    """
    seen: set[str] = set()
    for point in hook_points:
        for what, value, known in (("group", point.group, HOOK_GROUPS), ("layout", point.layout, HOOK_LAYOUTS)):
            if value not in known:
                raise HookPointError(
                    f"hook point '{point.name}': there is no {what} '{value}'; use one of {', '.join(known)}"
                    + did_you_mean(value, known)
                )
        try:
            module = backbone.get_submodule(point.name)
        except AttributeError as error:
            raise HookPointError(
                f"hook point '{point.name}': the backbone has no such module ({error}); correct the name in "
                "`hook_points` of its part"
            ) from error
        if not any(True for _ in module.parameters()):
            raise HookPointError(
                f"hook point '{point.name}': the module has no parameters, from which an adaptor takes its device; "
                "name one that has some"
            )
        if point.name in seen:
            raise HookPointError(f"hook point '{point.name}': is given twice; give it once")
        seen.add(point.name)
    for point in hook_points:
        outer = next((name for name in seen if point.name.startswith(f"{name}.")), None)
        if outer:
            raise HookPointError(f"hook point '{point.name}': lies inside the hook point '{outer}'; give one of them")


def select_hook_points(hook_points: Iterable[HookPoint], groups: Iterable[str]) -> list[HookPoint]:
    """The hook points of the named groups; `denoiser` stands for its three groups.

    Raises:
        HookPointError: no hook point belongs to one of the groups.
    """
    hook_points = list(hook_points)
    offered = {point.group for point in hook_points}
    selected: list[HookPoint] = []
    for group in groups:
        found = [point for point in hook_points if point.group == group or point.group.startswith(f"{group}.")]
        if not found:
            raise HookPointError(
                f"this backbone has no hook group '{group}'; it offers {', '.join(sorted(offered))} "
                "(and 'denoiser' for all the denoiser's groups)"
            )
        selected += [point for point in found if point not in selected]
    return selected
