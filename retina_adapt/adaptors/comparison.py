"""How two adaptors differ: in settings, in metadata, and in each tensor."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from retina_adapt.adaptors.description import AdaptorDescription
from retina_adapt.adaptors.files import read_adaptor

ABSENT = "absent"


@dataclass(frozen=True)
class AdaptorComparison:
    """The differences between two adaptors.

    Attributes:
        identical: whether both have the same sha256.
        configuration: both values of each differing entry, by its dotted name (`settings.context_grid`); an entry that
            one adaptor lacks is `absent`.
        distances: |a - b| / max(|a|, |b|) in Euclidean norms, for each tensor that both hold in the same shape: 0 for
            equal tensors, about 1.4 for unrelated ones of equal norm, at most 2.
        unmatched: names of the tensors that only one holds, or whose shapes differ.
    """

    identical: bool
    configuration: dict[str, tuple[Any, Any]]
    distances: dict[str, float]
    unmatched: list[str]

    @property
    def hot_swappable(self) -> bool:
        """Whether the values of one can be copied into the other while it stays attached."""
        structure = ("adaptor_kind", "backbone_fingerprint", "settings.")
        return not self.unmatched and not any(name.startswith(structure) for name in self.configuration)


def compare_adaptors(first: str | Path, second: str | Path) -> AdaptorComparison:
    """Compare two adaptors, each a folder or a single file.

    Raises:
        AdaptorFileError: one of them is missing or damaged.
    """
    (description, tensors), (other_description, other_tensors) = read_adaptor(first), read_adaptor(second)
    shared = {
        name for name in tensors.keys() & other_tensors.keys() if tensors[name].shape == other_tensors[name].shape
    }
    return AdaptorComparison(
        identical=description.sha256 == other_description.sha256,
        configuration=_differing(_flat(description), _flat(other_description)),
        distances={name: relative_distance(tensors[name], other_tensors[name]) for name in sorted(shared)},
        unmatched=sorted((tensors.keys() | other_tensors.keys()) - shared),
    )


def relative_distance(first: Tensor, second: Tensor) -> float:
    """|a - b| / max(|a|, |b|) in Euclidean norms; 0 where both are zero."""
    first, second = first.double(), second.double()
    scale = max(first.norm().item(), second.norm().item())
    return (first - second).norm().item() / scale if scale else 0.0


def _flat(description: AdaptorDescription) -> dict[str, Any]:
    """Entries of the configuration by dotted name, without the format version and the sums derived from the others."""
    stated = description.to_dict()
    return _dotted({key: stated[key] for key in stated if key not in ("sha256", "tensors_sha256", "format_version")})


def _dotted(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for key, value in values.items():
        entries |= _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return entries


def _differing(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*first, *(name for name in second if name not in first)]
    pairs = {name: (first.get(name, ABSENT), second.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
