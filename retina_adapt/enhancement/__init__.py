"""Enhancement: photographs in, photographs out."""

from retina_adapt.enhancement.enhancer import EnhancementInputError, Enhancer
from retina_adapt.enhancement.modes import EnhancementMode, enhance_frames

__all__ = ["EnhancementInputError", "EnhancementMode", "Enhancer", "enhance_frames"]
