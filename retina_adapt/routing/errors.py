"""Errors of this room."""

from retina_adapt.errors import RetinaAdaptError


class RouterSettingsError(RetinaAdaptError):
    """Settings of a router, of its training examples or of its check are invalid or contradict each other."""


class RouterFileError(RetinaAdaptError):
    """A router folder is missing, incomplete, damaged or does not fit the code, or holds something else."""
