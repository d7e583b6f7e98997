"""Synthetic faults of retinal photographs: drawn from a seed, replayed from a record, alike at any size."""

# Importing a family registers its degradations; presets come last because they refer to them by name.
from retina_adapt.degradations import artifacts, light, optics, presets  # noqa: F401
from retina_adapt.degradations.degradation import (
    apply_degradation,
    apply_step,
    draw_degradation,
    draw_step,
    draw_uniform,
)
from retina_adapt.degradations.description import describe_preset
from retina_adapt.degradations.errors import (
    DegradationEntryPointError,
    DegradationInputError,
    DegradationRecordError,
    DegradationResultError,
    DegradationSourceError,
    SeverityError,
    UnknownDegradationError,
    UnknownPresetError,
)
from retina_adapt.degradations.identity import preset_fingerprint
from retina_adapt.degradations.record import DrawnDegradation, DrawnStep
from retina_adapt.degradations.registry import (
    Choice,
    degradation_names,
    preset_names,
    register_degradation,
    register_preset,
)

__all__ = [
    "Choice",
    "DegradationEntryPointError",
    "DegradationInputError",
    "DegradationRecordError",
    "DegradationResultError",
    "DegradationSourceError",
    "DrawnDegradation",
    "DrawnStep",
    "SeverityError",
    "UnknownDegradationError",
    "UnknownPresetError",
    "apply_degradation",
    "apply_step",
    "degradation_names",
    "describe_preset",
    "draw_degradation",
    "draw_step",
    "draw_uniform",
    "preset_fingerprint",
    "preset_names",
    "register_degradation",
    "register_preset",
]
