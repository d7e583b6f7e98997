"""Synthetic faults of retinal photographs: drawn from a seed, replayed from a record, alike at any size."""

# Importing a family registers its degradations; presets come last because they refer to them by name.
from retina_adapt.degradations import artifacts, light, optics, presets  # noqa: F401
from retina_adapt.degradations.degradation import (
    Choice,
    apply_degradation,
    apply_step,
    degradation_names,
    draw_degradation,
    draw_step,
    draw_uniform,
    preset_names,
    register_degradation,
    register_preset,
)
from retina_adapt.degradations.description import describe_preset
from retina_adapt.degradations.errors import (
    DegradationInputError,
    DegradationRecordError,
    SeverityError,
    UnknownDegradationError,
    UnknownPresetError,
)
from retina_adapt.degradations.record import DrawnDegradation, DrawnStep

__all__ = [
    "Choice",
    "DegradationInputError",
    "DegradationRecordError",
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
    "preset_names",
    "register_degradation",
    "register_preset",
]
