"""Enhancement: photographs in, photographs out."""

from retina_adapt.enhancement.copies import PhotographCopies, apply_at_own_size
from retina_adapt.enhancement.detail import Detail, SmallChange
from retina_adapt.enhancement.enhancer import Enhancer
from retina_adapt.enhancement.errors import EnhancementInputError, EnhancementMemoryError
from retina_adapt.enhancement.modes import (
    SAMPLING_START,
    EnhancementMode,
    apply_change,
    enhance_frames,
    reconstruct_frames,
)
from retina_adapt.enhancement.pipeline import RetinaEnhancementOutput, RetinaEnhancementPipeline
from retina_adapt.enhancement.provenance import provenance_of
from retina_adapt.enhancement.result import Enhancement
from retina_adapt.enhancement.second_look import combine_looks
from retina_adapt.enhancement.settings import FINE_SCALE, EnhancementSettings

__all__ = [
    "FINE_SCALE",
    "SAMPLING_START",
    "Detail",
    "Enhancement",
    "EnhancementInputError",
    "EnhancementMemoryError",
    "EnhancementMode",
    "EnhancementSettings",
    "Enhancer",
    "PhotographCopies",
    "RetinaEnhancementOutput",
    "RetinaEnhancementPipeline",
    "SmallChange",
    "apply_at_own_size",
    "apply_change",
    "combine_looks",
    "enhance_frames",
    "provenance_of",
    "reconstruct_frames",
]
