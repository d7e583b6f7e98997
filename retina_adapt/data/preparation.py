"""Photographs as squares of one size, cut to their field of view: what networks are trained on."""

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
    """Photographs cannot be prepared; the message lists every one of them with its remedy.

    Attributes:
        broken: a line for each that is broken by itself.
    """

    def __init__(self, message: str, broken: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.broken = tuple(broken)


@dataclass(frozen=True, eq=False)
class PreparedPhotograph:
    """A square photograph.

    Attributes:
        image: float32 (size, size, C) in [0, 1]; tissue mirrored at the rim fills what lies outside the field
            of view.
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
        name: what error messages call it, usually the file name.
        size: side of the result in pixels.
        mask: field of view known beforehand, bool (H, W) of the photograph; else it is looked for.
        field_of_view: where to look, see `find_field_of_view`.

    Raises:
        FieldOfViewError: no field of view is found, the given mask does not fit, or it is a strip or scattered.
    """
    crop = find_crop(photograph, name, mask=mask, field_of_view=field_of_view)
    return cut_and_resize(photograph.pixels, crop, size, name)


def require_share(largest_broken_share: float) -> None:
    """Raises PreparationError where the share of photographs that may be broken is none."""
    if not 0.0 <= largest_broken_share <= 1.0:
        raise PreparationError(
            f"largest_broken_share must lie in [0, 1], got {largest_broken_share}; 0.05 allows 5 broken in 100"
        )


def find_crop(
    photograph: Photograph, name: str, *, mask: np.ndarray | None, field_of_view: FieldOfViewShape
) -> SquareCrop:
    """The square around a photograph's field of view; arguments and errors as for `prepare_photograph`."""
    crop = SquareCrop.around(find_field_of_view(photograph.pixels, name=name, mask=mask, field_of_view=field_of_view))
    require_compact(crop, name)
    return crop


def require_same_frame(companion: Photograph, companion_name: str, photograph: Photograph, name: str) -> None:
    """Check that two photographs of a pair have one height, width and number of channels.

    Raises:
        PreparationError: they do not.
    """
    if companion.pixels.shape != photograph.pixels.shape:
        raise PreparationError(
            f"{companion_name}: height, width, channels are {companion.pixels.shape}, but "
            f"those of its partner {name} are {photograph.pixels.shape}; save both at one size"
        )


def cut_and_resize(pixels: np.ndarray, crop: SquareCrop, size: int, name: str) -> PreparedPhotograph:
    """Prepare pixels (H, W, C) with a crop that is known already, for example their partner's in a pair.

    Raises:
        FieldOfViewError: nothing of the field of view is left at `size`.
    """
    mask = resize_mask(crop.extract_mask(crop.mask), size, size)
    if not mask.any():
        raise FieldOfViewError(
            f"{name}: the field of view is scattered pixels, of which none is left at {size} px; "
            "give a mask without holes"
        )
    # A pixel of the field of view is made of what lies within two of its widths; all others are mirrored anew.
    reach = 4 + math.ceil(2 * crop.side / size)
    image = resize(crop.extract(pixels, reach=reach), size, size)
    return PreparedPhotograph(mirror_outside(image, mask), mask)


def mirror_outside(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill a square image outside its mask with tissue mirrored at the rim, as preparation does.

    Needed again after a change inside the mask: an untouched surround would show a network the clear tissue
    of a degraded photograph, which no real degraded photograph has.
    """
    filled = np.array(image, order="C")
    fill_places(filled, *mirror_places(mask))
    return filled
