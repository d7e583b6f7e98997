"""Photographs as squares of one size, cut to their field of view, for networks to train on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import (
    FieldOfViewError,
    FieldOfViewShape,
    Photograph,
    SquareCrop,
    find_field_of_view,
    require_compact,
    resize,
    resize_mask,
)
from retina_adapt.imaging.mirror import fill_places, mirror_places


class PreparationError(RetinaAdaptError):
    """Photographs cannot be prepared; the message lists each of them with its remedy.

    Attributes:
        broken: one line for each photograph that is itself broken.
    """

    def __init__(self, message: str, broken: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.broken = tuple(broken)


@dataclass(frozen=True, eq=False)
class PreparedPhotograph:
    """A square photograph.

    Attributes:
        image: float32 (size, size, C) in [0, 1]; outside the field of view, filled with tissue mirrored at the rim.
        mask: field of view, bool (size, size).
    """

    image: np.ndarray
    mask: np.ndarray


def prepare_photograph(
    photograph: Photograph,
    name: str,
    size: int,
    *,
    mask: np.ndarray | None = None,
    field_of_view: FieldOfViewShape = "auto",
) -> PreparedPhotograph:
    """Find the field of view, cut the square around it and resize it to `size` pixels a side.

    Args:
        photograph: of any size.
        name: its name in error messages, usually the file name.
        size: side of the result in pixels.
        mask: known field of view, bool (H, W) of the photograph; None looks for it.
        field_of_view: where to look, see `find_field_of_view`.

    Raises:
        FieldOfViewError: no field of view is found, the mask does not fit, or the field of view is a strip or
            scattered.
    """
    crop = find_crop(photograph, name, mask=mask, field_of_view=field_of_view)
    return cut_and_resize(photograph.pixels, crop, size, name)


def require_share(largest_broken_share: float) -> None:
    """Raise PreparationError unless the share of photographs that may be broken lies in [0, 1]."""
    if not 0.0 <= largest_broken_share <= 1.0:
        raise PreparationError(
            f"largest_broken_share must lie in [0, 1], got {largest_broken_share}; 0.05 allows 5 broken in 100"
        )


def find_crop(
    photograph: Photograph, name: str, *, mask: np.ndarray | None, field_of_view: FieldOfViewShape
) -> SquareCrop:
    """The square around a photograph's field of view; arguments and errors as for `prepare_photograph`."""
    found = find_field_of_view(
        photograph.pixels, name=name, mask=mask, field_of_view=field_of_view, transparent=photograph.transparent
    )
    crop = SquareCrop.around(found)
    require_compact(crop, name)
    return crop


def require_same_frame(companion: Photograph, companion_name: str, photograph: Photograph, name: str) -> None:
    """Check that the photographs of a pair have the same height, width and number of channels.

    Raises:
        PreparationError: they do not.
    """
    if companion.pixels.shape != photograph.pixels.shape:
        raise PreparationError(
            f"{companion_name}: height, width, channels are {companion.pixels.shape}, but "
            f"those of its partner {name} are {photograph.pixels.shape}; save both at one size, in colour or in grey"
        )


def cut_and_resize(pixels: np.ndarray, crop: SquareCrop, size: int, name: str) -> PreparedPhotograph:
    """Prepare pixels (H, W, C) with a known crop, for example that of their partner in a pair.

    Raises:
        FieldOfViewError: nothing of the field of view is left at `size`.
    """
    mask = resize_mask(crop.extract_mask(crop.mask), size, size)
    if not mask.any():
        raise FieldOfViewError(
            f"{name}: the field of view is scattered pixels, none of which is left at {size} px; "
            "give a mask without holes"
        )
    # A resized pixel of the field of view depends on what lies within two of its widths; the rest is mirrored anew.
    reach = 4 + math.ceil(2 * crop.side / size)
    image = resize(crop.extract(pixels, reach=reach), size, size)
    return PreparedPhotograph(mirror_outside(image, mask), mask)


def mirror_outside(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill a square image outside its mask with tissue mirrored at the rim, as preparation does.

    Needed again after a change inside the mask: otherwise the surround of a degraded photograph would show a network
    its clear tissue, which no real degraded photograph has.
    """
    filled = np.array(image, order="C")
    fill_places(filled, *mirror_places(mask))
    return filled
