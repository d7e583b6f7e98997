"""What can be wrong with a request to enhance."""

from retina_adapt.errors import RetinaAdaptError


class EnhancementInputError(RetinaAdaptError):
    """An input that the backbone or the mode cannot take."""


class EnhancementMemoryError(RetinaAdaptError):
    """Not enough memory, however small the tiles."""
