"""Draw degradations from a seed, and apply them: each is a pair of pure functions under a name.

Drawing and applying are kept apart so that one record, a few numbers in JSON, degrades a photograph in the same way at
any size and on any day. Named degradations are the single faults; presets combine them.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

from retina_adapt.degradations.errors import (
    DegradationInputError,
    DegradationRecordError,
    DegradationResultError,
    SeverityError,
)
from retina_adapt.degradations.record import DrawnDegradation, DrawnStep
from retina_adapt.degradations.registry import PresetStep, find_degradation, find_preset

# The two random streams of one seed: severity has its own, so that drawing it does not change the steps.
_SEVERITY_STREAM, _STEPS_STREAM = 0, 1
_ROUNDING_SLACK = 1e-3


def draw_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    """A uniform draw from [low, high) as a Python float.

    Plain arithmetic on the generator's doubles gives the same value on every machine; the distributions of libraries
    do not promise that across versions.
    """
    return low + (high - low) * float(generator.random())


def draw_step(name: str, *, generator: np.random.Generator, severity: float) -> DrawnStep:
    """Draw the parameters of a single degradation.

    Raises:
        UnknownDegradationError: nothing is registered under `name`.
        SeverityError: severity outside [0, 1].
        DegradationResultError: the parameters drawn are not JSON values.
    """
    _require_severity(severity)
    parameters = find_degradation(name).draw(generator, float(severity))
    _require_json(parameters, name)
    return DrawnStep(name, parameters)


def apply_step(pixels: np.ndarray, mask: np.ndarray, step: DrawnStep) -> np.ndarray:
    """Apply a single degradation; shapes, ranges and errors as in `apply_degradation`."""
    _require_frame(pixels, mask)
    degradation = find_degradation(step.name)
    # A degradation that worked in place would change the clear photograph of a pair along with the degraded one.
    try:
        degraded = degradation.apply(_read_only(pixels), _read_only(mask), step.parameters)
    except KeyError as error:
        if error.args[0] in step.parameters:
            raise
        raise DegradationRecordError(
            f"the stored step '{step.name}' lacks the parameter {error}; draw it anew"
        ) from error
    except (ValueError, cv2.error) as error:
        # NumPy and OpenCV give no other sign of a write to a read-only array.
        if not re.search("read-?only", str(error)):
            raise
        raise DegradationResultError(
            f"degradation '{step.name}' works in place, which would change the clear photograph of a pair too; let it "
            "change a copy: pixels.copy()"
        ) from error
    _require_picture(degraded, pixels, mask, step.name)
    # In C order, whatever that of the pixels: OpenCV writes into no other.
    clipped = np.clip(degraded.astype(np.float32, order="C", copy=False), 0.0, 1.0)
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
        DegradationEntryPointError: the installed package that offers `preset` is defective.
        DegradationResultError: a degradation drew something other than JSON values.
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
        pixels: float32 (H, W, C) with C = 1 or 3 (RGB), values in [0, 1]; not changed. Positions and lengths refer to
            the frame's centre and shorter side: crop it to the field of view first.
        mask: the field of view, bool (H, W).
        drawn: from `draw_degradation`, or restored from its record.

    Returns:
        A new float32 array (H, W, C) in [0, 1], clipped after every step; outside the mask equal to `pixels`
        bit for bit.

    Raises:
        DegradationInputError: pixels or mask do not have the shape, type and range above.
        UnknownDegradationError: the record names a degradation that is not registered here.
        DegradationRecordError: the record lacks a parameter of a step.
        DegradationResultError: a degradation works in place, or did not return a finite picture shaped like `pixels`.
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
    # Values up to 255 would all be clipped to white. Written so that a NaN, which compares as false, fails too.
    if pixels.size and not (pixels.min() >= -_ROUNDING_SLACK and pixels.max() <= 1 + _ROUNDING_SLACK):
        raise DegradationInputError(
            f"pixels have values from {pixels.min():g} to {pixels.max():g}; bring them into [0, 1] first"
        )


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _require_json(parameters: Any, name: str) -> None:
    try:
        replayed = json.loads(json.dumps(parameters, allow_nan=False))
        is_kept = isinstance(parameters, dict) and replayed == parameters
    except (TypeError, ValueError):
        is_kept = False
    if not is_kept:
        raise DegradationResultError(
            f"degradation '{name}' drew {parameters!r}, which JSON would not give back unchanged; let it return a "
            "dictionary whose keys are strings and whose values are finite numbers (float(x) for NumPy's), strings, "
            "lists or dictionaries"
        )


def _require_picture(degraded: Any, pixels: np.ndarray, mask: np.ndarray, name: str) -> None:
    if not isinstance(degraded, np.ndarray):
        found = type(degraded).__name__
    elif degraded.shape != pixels.shape or not np.issubdtype(degraded.dtype, np.floating):
        found = f"{degraded.dtype} {degraded.shape}"
    # Outside the field of view values are meaningless, and will be replaced.
    elif not np.isfinite(degraded).all() and not np.isfinite(degraded[mask]).all():
        found = "values that are not finite"
    else:
        return
    raise DegradationResultError(
        f"degradation '{name}' returned {found} for pixels {pixels.shape}; it must return floats of this shape, from 0 "
        "(black) to 1, none of them infinite or NaN"
    )
