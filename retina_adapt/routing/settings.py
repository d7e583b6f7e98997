"""What a router's file says besides its tensors."""

from dataclasses import dataclass, field

from retina_adapt.routing.errors import RouterSettingsError
from retina_adapt.routing.faults import CLASSES, CLEAR

_STRIDE = 32


def _adaptors_named_as_classes() -> dict[str, str]:
    return {name: name for name in CLASSES if name != CLEAR}


@dataclass(frozen=True)
class RouterSettings:
    """How a router sees and decides.

    Attributes:
        prepared_size: side in pixels of the square that a photograph is first prepared at, as in training.
        image_size: side of the network's frames in pixels, divisible by 32, to which that square is shrunk.
        channels: features of the network's five levels, from fine to coarse.
        hidden_features: of the network's last layer but one.
        clear_threshold: a photograph whose probability of being clear is at least this much gets no adaptor.
        adaptors: name of the adaptor for each class but `clear`; a class without one gets none.
        classes: the network's classes, in the order of its outputs.

    Raises:
        RouterSettingsError: a value out of range, or an unknown class.
    """

    prepared_size: int = 320
    image_size: int = 256
    channels: tuple[int, ...] = (16, 32, 48, 48, 48)
    hidden_features: int = 64
    clear_threshold: float = 0.5
    adaptors: dict[str, str] = field(default_factory=_adaptors_named_as_classes)
    classes: tuple[str, ...] = CLASSES

    def __post_init__(self) -> None:
        if self.image_size < 2 * _STRIDE or self.image_size % _STRIDE:
            raise RouterSettingsError(
                f"image_size is {self.image_size}; it must be divisible by {_STRIDE}, and at least {2 * _STRIDE}"
            )
        if self.prepared_size < self.image_size:
            raise RouterSettingsError(
                f"prepared_size is {self.prepared_size}; it must be at least image_size, {self.image_size}"
            )
        if len(self.channels) != 5 or min(self.channels) < 1 or self.hidden_features < 1:
            raise RouterSettingsError(f"channels must be five numbers from 1 on, got {list(self.channels)}")
        if not 0.0 <= self.clear_threshold <= 1.0:
            raise RouterSettingsError(f"clear_threshold is {self.clear_threshold}; it must lie in [0, 1]")
        if tuple(self.classes) != CLASSES:
            raise RouterSettingsError(
                f"this router tells {', '.join(self.classes)} apart, but this version of retina_adapt knows "
                f"{', '.join(CLASSES)}; train it again with recipes/train_router.py"
            )
        if unknown := sorted(set(self.adaptors) - set(CLASSES) | set(self.adaptors) & {CLEAR}):
            raise RouterSettingsError(
                f"adaptors: there is no class {', '.join(unknown)} that takes an adaptor; use "
                f"{', '.join(name for name in CLASSES if name != CLEAR)}"
            )


@dataclass(frozen=True)
class RouterMetadata:
    """Where a router comes from, for its card.

    Attributes:
        data_sets: names and credits of the photographs.
        presets: the degradations that it was trained on.
        severity: lowest and highest severity of these.
        photographs_seen: clear photographs that it was trained on.
        training_steps, seed, recipe: how.
        metrics: scores on the validation photographs.
        protocol: how these were measured.
        license: SPDX identifier of the router's licence.
        intended_use: what it is good for, and what not.
    """

    data_sets: list[str]
    presets: list[str]
    severity: list[float]
    photographs_seen: int
    training_steps: int
    seed: int
    recipe: str
    metrics: dict[str, float]
    protocol: str
    license: str
    intended_use: str
