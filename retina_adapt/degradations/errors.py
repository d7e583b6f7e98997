"""What can go wrong when degradations are named, drawn, stored or applied."""

from retina_adapt.errors import RetinaAdaptError


class UnknownPresetError(RetinaAdaptError):
    """No preset has this name; the message suggests the nearest one."""


class UnknownDegradationError(RetinaAdaptError):
    """No degradation has this name; the message suggests the nearest one."""


class SeverityError(RetinaAdaptError):
    """A severity, or a range of severities, lies outside [0, 1]."""


class DegradationRecordError(RetinaAdaptError):
    """A stored degradation lacks a field or parameter, or has an unknown field."""


class DegradationInputError(RetinaAdaptError):
    """Pixels or mask do not have the shape, type and range that degradations need."""


class DegradationResultError(RetinaAdaptError):
    """A degradation drew or returned what it must not, or tried to change its input; the message names it."""


class DegradationSourceError(RetinaAdaptError):
    """A degradation has no readable source, so changes to it would go unnoticed."""


class DegradationEntryPointError(RetinaAdaptError):
    """An installed package offers a preset that cannot be imported, is not registered, or whose name is taken."""
