"""Read and write photographs, find the field of view, crop to it and paste the result back."""

from retina_adapt.imaging.circle_fit import Circle
from retina_adapt.imaging.crop import SquareCrop, require_compact, resize, resize_mask
from retina_adapt.imaging.field_of_view import FieldOfView, FieldOfViewError, FieldOfViewShape, find_field_of_view
from retina_adapt.imaging.photograph import (
    ImageReadError,
    ImageWriteError,
    Photograph,
    find_photographs,
    transparent_where,
)
from retina_adapt.imaging.provenance import Provenance, UsedAdaptor, sha256_of
from retina_adapt.imaging.reading import decode_photograph, read_encoded, read_photograph
from retina_adapt.imaging.writing import require_format_for, write_photograph

__all__ = [
    "Circle",
    "FieldOfView",
    "FieldOfViewError",
    "FieldOfViewShape",
    "ImageReadError",
    "ImageWriteError",
    "Photograph",
    "Provenance",
    "SquareCrop",
    "UsedAdaptor",
    "decode_photograph",
    "find_field_of_view",
    "find_photographs",
    "read_encoded",
    "read_photograph",
    "require_compact",
    "require_format_for",
    "resize",
    "resize_mask",
    "sha256_of",
    "transparent_where",
    "write_photograph",
]
