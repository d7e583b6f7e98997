"""Enhancement: photographs in, photographs out."""

from retina_adapt.enhancement.enhancer import EnhancementInputError, Enhancer
from retina_adapt.enhancement.modes import EnhancementMode, apply_change, enhance_frames, reconstruct_frames

__all__ = [
    "EnhancementInputError",
    "EnhancementMode",
    "Enhancer",
    "apply_change",
    "enhance_frames",
    "reconstruct_frames",
]
