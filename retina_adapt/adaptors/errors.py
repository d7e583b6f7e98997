"""The error about an adaptor's files."""

from retina_adapt.errors import RetinaAdaptError


class AdaptorFileError(RetinaAdaptError):
    """An adaptor that is missing, damaged or does not fit the backbone, or a place where none can be written."""
