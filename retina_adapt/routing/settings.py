"""A router's settings and metadata."""

from dataclasses import dataclass, field

from retina_adapt.routing.errors import RouterSettingsError
from retina_adapt.routing.faults import CLASSES, CLEAR

_STRIDE = 32
# Far above any sensible router: they keep a damaged or hostile file from asking for all memory.
_LARGEST_IMAGE, _LARGEST_PREPARED, _MOST_FEATURES = 1024, 4096, 1024


def _adaptors_named_as_classes() -> dict[str, str]:
    return {name: name for name in CLASSES if name != CLEAR}


@dataclass(frozen=True)
class RouterSettings:
    """How a router sees and decides.

    Attributes:
        prepared_size: side in pixels of the square to which a photograph is first prepared, as in training.
        image_size: side in pixels of the network's frames, to which that square is shrunk; divisible by 32.
        channels: number of features in each of the network's five levels, from fine to coarse.
        hidden_features: number of features in the network's last layer but one.
        clear_threshold: a photograph with at least this probability of being clear gets no adaptor.
        adaptors: name of the adaptor for each class but `clear`; a class may have none.
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
        if not 2 * _STRIDE <= self.image_size <= _LARGEST_IMAGE or self.image_size % _STRIDE:
            raise RouterSettingsError(
                f"image_size is {self.image_size}; it must be divisible by {_STRIDE}, and from {2 * _STRIDE} to "
                f"{_LARGEST_IMAGE}"
            )
        if not self.image_size <= self.prepared_size <= _LARGEST_PREPARED:
            raise RouterSettingsError(
                f"prepared_size is {self.prepared_size}; it must be from image_size, {self.image_size}, to "
                f"{_LARGEST_PREPARED}"
            )
        if len(self.channels) != 5 or not all(1 <= count <= _MOST_FEATURES for count in self.channels):
            raise RouterSettingsError(
                f"channels must be five numbers from 1 to {_MOST_FEATURES}, got {list(self.channels)[:6]}"
            )
        if not 1 <= self.hidden_features <= _MOST_FEATURES:
            raise RouterSettingsError(
                f"hidden_features is {self.hidden_features}; it must be from 1 to {_MOST_FEATURES}"
            )
        if not 0.0 <= self.clear_threshold <= 1.0:
            raise RouterSettingsError(f"clear_threshold is {self.clear_threshold}; it must lie in [0, 1]")
        if self.classes != CLASSES:
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
        photographs_seen: number of clear photographs that it was trained on.
        training_steps, seed, recipe: how it was trained.
        metrics: scores on the validation photographs.
        protocol: how these were measured.
        license: SPDX identifier of the router's licence.
        intended_use: what it is good for, and what it is not.
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
