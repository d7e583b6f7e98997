"""What can go wrong in this room."""

from retina_adapt.errors import RetinaAdaptError


class RouterSettingsError(RetinaAdaptError):
    """Settings of a router, of its training examples or of its check that do not fit together."""


class RouterFileError(RetinaAdaptError):
    """A router folder that is missing, incomplete, or does not fit the code."""
