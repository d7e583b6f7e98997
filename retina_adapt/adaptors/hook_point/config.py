"""Configuration of the kinds that have a network of their own at each hook point."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from peft import PeftConfig

from retina_adapt.adaptors.registration import AdaptorKind
from retina_adapt.errors import RetinaAdaptError

LARGEST_NUMBER = 4096


class AdaptorConfigError(RetinaAdaptError):
    """An adaptor setting that is out of range or does not fit the backbone."""


def default_hook_groups() -> list[str]:
    """Every hook group."""
    return ["encoder", "decoder", "denoiser"]


def require_hook_groups(groups: Any) -> None:
    """Raise AdaptorConfigError unless this is a non-empty list of names; whether such groups exist is not checked."""
    if not isinstance(groups, list) or not groups or not all(isinstance(group, str) for group in groups):
        raise AdaptorConfigError(f"hook_groups is {groups!r}; it must be a list with the name of at least one group")


def require_number(name: str, value: Any, *, least: int = 0, most: int = LARGEST_NUMBER) -> None:
    """Raise AdaptorConfigError unless the setting `name` is a whole number from `least` to `most`."""
    # `type`, since a bool is an int to Python but not to PyTorch.
    if type(value) is not int or not least <= value <= most:
        raise AdaptorConfigError(f"{name} is {value!r}; it must be a whole number from {least} to {most}")


def require_bool(name: str, value: Any) -> None:
    """Raise AdaptorConfigError unless the setting `name` is true or false."""
    if type(value) is not bool:
        raise AdaptorConfigError(f"{name} is {value!r}; it must be true or false")


@dataclass
class HookPointAdaptorConfig(PeftConfig):
    """Where the networks sit, and how they start.

    Args:
        hook_groups: where the adaptors sit: encoder, decoder, denoiser.down, denoiser.mid, denoiser.up, or denoiser
            for all three of its groups.
        identity_start: start as the identity. False keeps PyTorch's default initialisation of the last convolution, as
            in the authors' release: for comparisons only, since it breaks the backbone until trained.
        target_modules: names of the hook points; set from `hook_groups` when the adaptor is attached.
    """

    kind: ClassVar[AdaptorKind]
    own_settings: ClassVar[tuple[str, ...]]
    """The settings that fully define an adaptor of this kind."""

    hook_groups: list[str] = field(default_factory=default_hook_groups)
    identity_start: bool = True
    target_modules: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]  # PEFT leaves it without types
        self.peft_type = self.kind
        require_hook_groups(self.hook_groups)
        require_bool("identity_start", self.identity_start)
