"""What can go wrong when degradations are named, drawn, stored or applied."""

from retina_adapt.errors import RetinaAdaptError


class UnknownPresetError(RetinaAdaptError):
    """No preset has this name; the message suggests the nearest one."""


class UnknownDegradationError(RetinaAdaptError):
    """No degradation has this name; the message suggests the nearest one."""


class SeverityError(RetinaAdaptError):
    """A severity, or a range of severities, lies outside [0, 1]."""


class DegradationRecordError(RetinaAdaptError):
    """A stored degradation lacks a field or has one that is unknown."""


class DegradationInputError(RetinaAdaptError):
    """Pixels or mask do not have the shape and type that degradations work on."""
