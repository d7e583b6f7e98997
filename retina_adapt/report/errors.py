"""Errors of this room."""

from retina_adapt.errors import RetinaAdaptError


class ReportInputError(RetinaAdaptError):
    """Something that no report can be made of."""


class ReportWriteError(RetinaAdaptError):
    """The report's file cannot be written; the one that was there before, if any, is untouched."""
