"""What a degradation is: a pure pair of functions under a name, drawn from a seed, replayed from a record.

Drawing and applying are kept apart so that one record, a few numbers in JSON, degrades a photograph at any
size and on any day in the same way. Named degradations are the single faults; presets combine them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from retina_adapt.degradations.errors import (
    DegradationInputError,
    DegradationRecordError,
    SeverityError,
    UnknownDegradationError,
    UnknownPresetError,
)
from retina_adapt.degradations.record import DrawnDegradation, DrawnStep, Parameters
from retina_adapt.errors import DuplicateNameError
from retina_adapt.suggestions import did_you_mean

DrawParameters = Callable[[np.random.Generator, float], Parameters]
ApplyParameters = Callable[[np.ndarray, np.ndarray, Mapping[str, Any]], np.ndarray]

# The two random streams of one seed: severity has its own, so that drawing it leaves the steps as they are.
_SEVERITY_STREAM, _STEPS_STREAM = 0, 1


@dataclass(frozen=True)
class Choice:
    """A step of a preset that draws between `at_least` and `at_most` of its options, in the order listed.

    Options are degradation names or further choices. ValueError where the counts do not fit the options.
    """

    options: tuple["str | Choice", ...]
    at_least: int = 1
    at_most: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.at_least <= self.at_most <= len(self.options):
            raise ValueError(f"cannot draw {self.at_least} to {self.at_most} of {len(self.options)} options")


PresetStep = str | Choice


@dataclass(frozen=True)
class _Degradation:
    draw: DrawParameters
    apply: ApplyParameters


@dataclass(frozen=True)
class Preset:
    """What `register_preset` was given."""

    steps: tuple[PresetStep, ...]
    severity_range: tuple[float, float]


_DEGRADATIONS: dict[str, _Degradation] = {}
_PRESETS: dict[str, Preset] = {}


def register_degradation(name: str, *, draw: DrawParameters, apply: ApplyParameters) -> None:
    """Make a degradation available to presets under `name`.

    Args:
        name: how presets and records refer to it; part of stored records, so never renamed.
        draw: `draw(generator, severity)` returns the parameters as JSON values. It makes the same calls to
            the generator at every severity, so that for one seed the effect only grows with severity; at
            severity 0 the parameters leave the pixels exactly as they are.
        apply: `apply(pixels, mask, parameters)` returns the degraded float pixels (H, W, C) without changing
            its input. It is deterministic, works for one channel as for three, and may leave [0, 1] or
            change pixels outside the mask: `apply_degradation` clips, and restores what lies outside.

    Raises:
        DuplicateNameError: the name is taken.
    """
    _require_free(name, _DEGRADATIONS, "degradation")
    _DEGRADATIONS[name] = _Degradation(draw, apply)


def register_preset(name: str, *, steps: Sequence[PresetStep], severity_range: tuple[float, float]) -> None:
    """Make a list of steps available under `name`.

    Args:
        name: the name users write in configurations.
        steps: degradation names and choices among them, in the order in which they are applied.
        severity_range: the lowest and highest severity drawn where a caller asks for none in particular.

    Raises:
        DuplicateNameError: the name is taken.
        UnknownDegradationError: a step names a degradation that is not registered.
        SeverityError: the range is not ordered within [0, 1].
    """
    _require_free(name, _PRESETS, "preset")
    for degradation_name in _names_in(steps):
        _find_degradation(degradation_name)
    low, high = severity_range
    if not 0.0 <= low <= high <= 1.0:
        raise SeverityError(f"preset {name!r}: severity_range must be ordered within [0, 1], got {severity_range}")
    _PRESETS[name] = Preset(tuple(steps), (float(low), float(high)))


def degradation_names() -> list[str]:
    """Names of all registered degradations, sorted."""
    return sorted(_DEGRADATIONS)


def preset_names() -> list[str]:
    """Names of all registered presets, sorted."""
    return sorted(_PRESETS)


def find_preset(name: str) -> Preset:
    """What is registered under a name; an UnknownPresetError where nothing is."""
    if name not in _PRESETS:
        raise UnknownPresetError(_unknown_name_message("preset", name, _PRESETS))
    return _PRESETS[name]


def draw_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    """A uniform draw from [low, high) as a Python float.

    Plain arithmetic on the generator's doubles gives the same value on every machine, which library
    distributions do not promise between versions.
    """
    return low + (high - low) * float(generator.random())


def draw_step(name: str, *, generator: np.random.Generator, severity: float) -> DrawnStep:
    """Draw the parameters of a single degradation.

    Raises:
        UnknownDegradationError: nothing is registered under `name`.
        SeverityError: severity outside [0, 1].
    """
    _require_severity(severity)
    return DrawnStep(name, _find_degradation(name).draw(generator, float(severity)))


def apply_step(pixels: np.ndarray, mask: np.ndarray, step: DrawnStep) -> np.ndarray:
    """Apply a single degradation; shapes, ranges and errors as in `apply_degradation`."""
    _require_frame(pixels, mask)
    degradation = _find_degradation(step.name)
    try:
        degraded = degradation.apply(pixels, mask, step.parameters)
    except KeyError as error:
        if error.args[0] in step.parameters:
            raise
        raise DegradationRecordError(
            f"the stored step '{step.name}' lacks the parameter {error}; draw it anew"
        ) from error
    clipped = np.clip(degraded.astype(np.float32, copy=False), 0.0, 1.0)
    # Restored rather than multiplied by the mask: outside the field of view no bit may change.
    return cv2.copyTo(pixels, (~mask).view(np.uint8), clipped).reshape(pixels.shape)


def draw_degradation(preset: str, *, seed: int, severity: float | None = None) -> DrawnDegradation:
    """Draw a preset's steps and their parameters; the same arguments give the same record on any machine.

    Args:
        preset: a name from `preset_names()`.
        seed: any non-negative integer.
        severity: 0 (the identity) to 1 (the strongest); None draws it from the preset's own range. The steps
            depend on the severity's value only, not on whether it was given or drawn.

    Raises:
        UnknownPresetError: nothing is registered under `preset`.
        SeverityError: severity outside [0, 1].
    """
    chosen = find_preset(preset)
    if severity is None:
        severity = draw_uniform(np.random.default_rng((seed, _SEVERITY_STREAM)), *chosen.severity_range)
    _require_severity(severity)
    generator = np.random.default_rng((seed, _STEPS_STREAM))
    names = _choose(chosen.steps, generator)
    steps = tuple(draw_step(name, generator=generator, severity=severity) for name in names)
    return DrawnDegradation(preset, float(severity), int(seed), steps)


def apply_degradation(pixels: np.ndarray, mask: np.ndarray, drawn: DrawnDegradation) -> np.ndarray:
    """Degrade a photograph inside its field of view.

    Args:
        pixels: float32 (H, W, C) with C = 1 or 3 (RGB), values in [0, 1]; not changed. Positions
            and lengths refer to the frame's center and shorter side: crop it to the field of view first.
        mask: the field of view, bool (H, W).
        drawn: from `draw_degradation`, or restored from its record.

    Returns:
        A new float32 array (H, W, C) in [0, 1], clipped after every step; outside the mask equal to `pixels`
        bit for bit.

    Raises:
        DegradationInputError: pixels or mask are not of the shape and type above.
        UnknownDegradationError: the record names a degradation that is not registered here.
        DegradationRecordError: the record lacks a parameter of a step.
    """
    _require_frame(pixels, mask)
    degraded = pixels
    for step in drawn.steps:
        degraded = apply_step(degraded, mask, step)
    return degraded if drawn.steps else pixels.copy()


def _choose(steps: Iterable[PresetStep], generator: np.random.Generator) -> list[str]:
    names: list[str] = []
    for step in steps:
        if isinstance(step, str):
            names.append(step)
            continue
        count = step.at_least + int(generator.random() * (step.at_most - step.at_least + 1))
        # Ranking one uniform per option is a draw without replacement that any library version repeats.
        ranks = sorted(range(len(step.options)), key=[float(generator.random()) for _ in step.options].__getitem__)
        names += _choose((step.options[index] for index in sorted(ranks[:count])), generator)
    return names


def _names_in(steps: Iterable[PresetStep]) -> Iterable[str]:
    for step in steps:
        if isinstance(step, str):
            yield step
        else:
            yield from _names_in(step.options)


def _find_degradation(name: str) -> _Degradation:
    if name not in _DEGRADATIONS:
        raise UnknownDegradationError(_unknown_name_message("degradation", name, _DEGRADATIONS))
    return _DEGRADATIONS[name]


def _unknown_name_message(kind: str, name: str, registry: Mapping[str, Any]) -> str:
    suggestion = did_you_mean(name, registry) or "."
    return f"there is no {kind} '{name}'{suggestion} Registered: {', '.join(sorted(registry))}"


def _require_free(name: str, registry: Mapping[str, Any], kind: str) -> None:
    if name in registry:
        raise DuplicateNameError(f"a {kind} named {name!r} is registered already; choose another name")


def _require_severity(severity: float) -> None:
    if not 0.0 <= severity <= 1.0:
        raise SeverityError(f"severity must be a number from 0 (none) to 1 (strongest), got {severity}")


def _require_frame(pixels: np.ndarray, mask: np.ndarray) -> None:
    if pixels.dtype != np.float32 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise DegradationInputError(
            f"pixels must be float32 (H, W, 1 or 3), got {pixels.dtype} {pixels.shape}; "
            "read files with retina_adapt.imaging.read_photograph"
        )
    if mask.dtype != np.bool_ or mask.shape != pixels.shape[:2]:
        raise DegradationInputError(
            f"mask must be bool {pixels.shape[:2]} like the pixels, got {mask.dtype} {mask.shape}; "
            "make it with retina_adapt.imaging.find_field_of_view"
        )
