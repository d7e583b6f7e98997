"""Errors of this room."""

from retina_adapt.errors import RetinaAdaptError


class ReportInputError(RetinaAdaptError):
    """No report or map can be made from what was given."""


class ReportWriteError(RetinaAdaptError):
    """The report's file cannot be written; a previous one, if any, is untouched."""
