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


class DegradationResultError(RetinaAdaptError):
    """A degradation drew or returned what it must not, or changed its input; the message names the degradation."""


class DegradationSourceError(RetinaAdaptError):
    """What a degradation does cannot be told from its source, which is not there."""


class DegradationEntryPointError(RetinaAdaptError):
    """An installed package offers a preset that cannot be imported, is not registered, or whose name is taken."""
