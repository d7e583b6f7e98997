"""Degradations and presets by name, including those of other packages.

Other packages add theirs through the entry point group `retina_adapt.degradations`: an entry is named after a preset,
and its object is the module that registers that preset. docs/data.md shows one. The module is imported when its preset,
or a degradation not known yet, is asked for; one that cannot be imported, or uses a name that is taken, affects no
preset of another name.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np

from retina_adapt.degradations.errors import (
    DegradationEntryPointError,
    SeverityError,
    UnknownDegradationError,
    UnknownPresetError,
)
from retina_adapt.degradations.record import Parameters
from retina_adapt.errors import DuplicateNameError
from retina_adapt.suggestions import did_you_mean

ENTRY_POINT_GROUP = "retina_adapt.degradations"

DrawParameters = Callable[[np.random.Generator, float], Parameters]
ApplyParameters = Callable[[np.ndarray, np.ndarray, Mapping[str, Any]], np.ndarray]


@dataclass(frozen=True)
class Choice:
    """A step of a preset that draws between `at_least` and `at_most` of its options, in the order listed.

    Options are degradation names or further choices. Raises ValueError if the counts do not fit the options.
    """

    options: tuple["str | Choice", ...]
    at_least: int = 1
    at_most: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.at_least <= self.at_most <= len(self.options):
            raise ValueError(f"cannot draw {self.at_least} to {self.at_most} of {len(self.options)} options")


PresetStep = str | Choice


@dataclass(frozen=True)
class Degradation:
    """What `register_degradation` was given."""

    draw: DrawParameters
    apply: ApplyParameters


@dataclass(frozen=True)
class Preset:
    """What `register_preset` was given."""

    steps: tuple[PresetStep, ...]
    severity_range: tuple[float, float]


_DEGRADATIONS: dict[str, Degradation] = {}
_PRESETS: dict[str, Preset] = {}
# Names that are one preset's alone. Presets are looked up for every draw, installed packages only once a name.
_SETTLED: set[str] = set()


def register_degradation(name: str, *, draw: DrawParameters, apply: ApplyParameters) -> None:
    """Make a degradation available to presets under `name`.

    Args:
        name: how presets and records refer to it; part of stored records, so never renamed.
        draw: `draw(generator, severity)` returns the parameters as JSON values. It must make the same calls to the
            generator at every severity, so that for one seed the effect only grows with severity; at severity 0 its
            parameters must leave the pixels exactly as they are.
        apply: `apply(pixels, mask, parameters)` returns the degraded float pixels (H, W, C). Pixels and mask are
            read-only. It must be deterministic and work for one channel as for three. It may leave [0, 1] or change
            pixels outside the mask: `apply_degradation` clips, and restores what lies outside.

    Raises:
        DuplicateNameError: the name is taken.
    """
    _require_free(name, _DEGRADATIONS, "degradation")
    _DEGRADATIONS[name] = Degradation(draw, apply)


def register_preset(name: str, *, steps: Sequence[PresetStep], severity_range: tuple[float, float]) -> None:
    """Make a list of steps available under `name`.

    Args:
        name: the name users write in configurations.
        steps: degradation names and choices among them, in the order in which they are applied.
        severity_range: the lowest and highest severity drawn when a caller gives none.

    Raises:
        DuplicateNameError: the name is taken.
        UnknownDegradationError: a step names a degradation that is not registered.
        SeverityError: the range is not ordered within [0, 1].
    """
    _require_free(name, _PRESETS, "preset")
    for degradation_name in names_in(steps):
        find_degradation(degradation_name)
    low, high = severity_range
    if not 0.0 <= low <= high <= 1.0:
        raise SeverityError(f"preset {name!r}: severity_range must be ordered within [0, 1], got {severity_range}")
    _PRESETS[name] = Preset(tuple(steps), (float(low), float(high)))


def degradation_names() -> list[str]:
    """Names of all registered degradations, sorted, including those of installed packages that can be imported."""
    _import_installed()
    return sorted(_DEGRADATIONS)


def preset_names() -> list[str]:
    """Names of all registered presets, sorted, including those of installed packages."""
    return sorted(_PRESETS.keys() | {entry.name for entry in _new_entries()})


def find_degradation(name: str) -> Degradation:
    """Look up a degradation, importing installed packages if it is not registered yet.

    Raises:
        UnknownDegradationError: nothing is registered under `name`; the message suggests the nearest one.
        DegradationEntryPointError: nothing is, and an installed package that may bring it is defective.
    """
    if name not in _DEGRADATIONS:
        # An installed package may bring it.
        defects = _import_installed()
        if defects and name not in _DEGRADATIONS:
            raise DegradationEntryPointError(
                f"there is no degradation '{name}', perhaps for this reason: "
                f"{'; '.join(str(defect) for defect in defects)}"
            ) from defects[0]
    if name not in _DEGRADATIONS:
        raise UnknownDegradationError(_unknown_name_message("degradation", name, sorted(_DEGRADATIONS)))
    return _DEGRADATIONS[name]


def find_preset(name: str) -> Preset:
    """Look up a preset, importing the installed package that offers it if it is not registered yet.

    Raises:
        UnknownPresetError: nothing is registered under `name`; the message suggests the nearest one.
        DegradationEntryPointError: the installed package that offers this name cannot be imported, or does not
            register it; or the name is another preset's too, so that it is unclear which one is meant.
    """
    if name not in _SETTLED:
        _settle(name)
    return _PRESETS[name]


def names_in(steps: Iterable[PresetStep]) -> Iterable[str]:
    """Names of the degradations that these steps may draw."""
    for step in steps:
        if isinstance(step, str):
            yield step
        else:
            yield from names_in(step.options)


def _settle(name: str) -> None:
    """Have the preset registered that is meant by `name`."""
    entries = [entry for entry in _new_entries() if entry.name == name]
    if name not in _PRESETS and not entries:
        raise UnknownPresetError(_unknown_name_message("preset", name, preset_names()))
    if len(entries) > (name not in _PRESETS):
        raise DegradationEntryPointError(
            f"{_origin(entries[-1])}: another preset of this name is there already; rename this one, or uninstall its "
            "package"
        )
    for entry in entries:
        _import_entry(entry)
    _SETTLED.add(name)


def _new_entries() -> list[EntryPoint]:
    """Entries of installed packages whose preset is not registered yet."""
    return [
        entry
        for entry in entry_points(group=ENTRY_POINT_GROUP)
        # Whoever imported the module.
        if not (entry.module in sys.modules and entry.name in _PRESETS)
    ]


def _import_installed() -> list[DegradationEntryPointError]:
    """Import whatever installed packages offer; return the defects of those that fail."""
    defects = []
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.module in sys.modules:
            continue
        try:
            _import_entry(entry)
        except DegradationEntryPointError as error:
            defects.append(error)
    return defects


def _import_entry(entry: EntryPoint) -> None:
    try:
        entry.load()
    except Exception as error:  # another package's module may raise anything
        raise DegradationEntryPointError(
            f"{_origin(entry)}: cannot be imported: {error!r}; repair or uninstall its package"
        ) from error
    if entry.name not in _PRESETS:
        raise DegradationEntryPointError(
            f"{_origin(entry)}: its module registers no preset of this name; call "
            f"register_preset('{entry.name}', ...) in it, or uninstall its package"
        )


def _origin(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "unknown"
    return f"preset '{entry.name}' ({entry.value}) of the installed package '{package}'"


def _unknown_name_message(kind: str, name: str, known: list[str]) -> str:
    suggestion = did_you_mean(name, known) or "."
    return f"there is no {kind} '{name}'{suggestion} Registered: {', '.join(known)}"


def _require_free(name: str, registry: Mapping[str, Any], kind: str) -> None:
    if name in registry:
        raise DuplicateNameError(f"a {kind} named {name!r} is registered already; choose another name")
