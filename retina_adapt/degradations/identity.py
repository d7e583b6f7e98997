"""Tell a preset from its earlier versions, for whoever keeps what was made with it."""

import hashlib
import inspect
import json
from collections.abc import Callable
from typing import Any

from retina_adapt.degradations.errors import DegradationSourceError
from retina_adapt.degradations.registry import find_degradation, find_preset, names_in


def preset_fingerprint(name: str) -> str:
    """The sha256, equal in every process, of a preset's definition and the source of the degradations it may draw.

    The source is the whole file that defines a function, with the constants and functions beside it that it may use.
    What it imports from other files is not covered.

    Raises:
        UnknownPresetError: no preset has this name.
        DegradationSourceError: a function of a degradation has no readable source.
    """
    preset = find_preset(name)
    parts = [repr(preset)]
    for step in names_in(preset.steps):
        degradation = find_degradation(step)
        for function in (degradation.draw, degradation.apply):
            parts += [step, getattr(function, "__qualname__", ""), *_file_of(function, step)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _file_of(function: Callable[..., Any], degradation: str) -> list[str]:
    """The lines of the file that defines a function."""
    try:
        return inspect.findsource(inspect.unwrap(function))[0]
    except (OSError, TypeError) as error:
        raise DegradationSourceError(
            f"degradation '{degradation}': the source of {function!r} cannot be read ({error}), so a change to it "
            "would go unnoticed; define draw and apply as functions (def) in a file"
        ) from error
