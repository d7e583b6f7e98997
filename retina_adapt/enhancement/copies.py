"""The small copies of a photograph that networks see, and the way back to its own size."""

import dataclasses
from dataclasses import dataclass, field

import cv2
import numpy as np

from retina_adapt.enhancement.detail import SmallChange
from retina_adapt.enhancement.resampling import shrink
from retina_adapt.imaging import FieldOfView, FieldOfViewShape, SquareCrop, find_field_of_view, require_compact, resize

# Side of the copy that the frame is made from if no larger copy is asked for. The surround is filled in that copy,
# since filling it at a camera's size takes seconds.
_COPY_SIDE = 1024
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class PhotographCopies:
    """A photograph and the copies of the square around its field of view.

    Attributes:
        pixels: the photograph, float32 (H, W, C) in [0, 1].
        field_of_view: where it shows tissue.
        crop: the square around its field of view.
        working: copy of the square, float32 (n, n, C), n at most the square's side; its surround is mirrored tissue.
        working_mask: its field of view, bool (n, n).
        frame: the same copy at the backbone's frame size, (f, f, C).
        name: what error messages call the photograph.
    """

    pixels: np.ndarray = field(repr=False)
    field_of_view: FieldOfView
    crop: SquareCrop
    working: np.ndarray = field(repr=False)
    working_mask: np.ndarray = field(repr=False)
    frame: np.ndarray = field(repr=False)
    name: str

    def after(self, change: SmallChange) -> "PhotographCopies":
        """The copies with a network's change applied, for another pass to look at; the photograph stays as it is."""
        changed = (change.low + change.change).clip(0, 1)
        if changed.shape != self.working.shape:
            return dataclasses.replace(self, frame=changed)
        return dataclasses.replace(self, working=changed, frame=resize(changed, *self.frame.shape[:2]))


def prepare_copies(
    pixels: np.ndarray,
    *,
    frame_size: int,
    working_size: int | None = None,
    field_of_view: FieldOfViewShape = "auto",
    mask: np.ndarray | None = None,
    transparent: np.ndarray | None = None,
    name: str = "photograph",
) -> PhotographCopies:
    """Find the field of view and make the copies.

    Args:
        pixels: float32 (H, W, C) in [0, 1].
        frame_size: the backbone's frame size.
        working_size: side of the working copy, at least `frame_size`; None if only the frame matters.
        field_of_view, mask, transparent, name: see `find_field_of_view`.

    Raises:
        FieldOfViewError: no field of view is found, it is a strip or scattered, or the mask does not fit.
    """
    found = find_field_of_view(pixels, name=name, mask=mask, field_of_view=field_of_view, transparent=transparent)
    crop = SquareCrop.around(found)
    if crop.side > _COPY_SIDE:
        # The square around a small strip costs nothing, but that around a long one would not fit in memory.
        require_compact(crop, name)
    side = min(crop.side, max(frame_size, working_size or _COPY_SIDE))
    working, working_mask = _copy_of_square(pixels, crop, side)
    return PhotographCopies(
        pixels=pixels,
        field_of_view=found,
        crop=crop,
        working=working,
        working_mask=working_mask,
        frame=resize(working, frame_size, frame_size),
        name=name,
    )


def apply_at_own_size(prepared: PhotographCopies, small: SmallChange) -> np.ndarray:
    """The photograph with the change applied in its field of view; a new array, float32 (H, W, C) in [0, 1].

    Works on a band of rows at a time, so that it needs little memory besides photograph and result, whatever their
    size.
    """
    crop, pixels = prepared.crop, prepared.pixels
    side = crop.side
    if side < small.change.shape[0]:
        # The network saw the photograph enlarged: there is no finer detail.
        small = SmallChange(resize(small.low, side, side), shrink(small.change, side), follow_detail=False)
    height, width = prepared.field_of_view.mask.shape
    columns = slice(max(-crop.left, 0), min(width - crop.left, side))
    frame_columns = slice(columns.start + crop.left, columns.stop + crop.left)
    restored = pixels.copy()
    for first in range(max(-crop.top, 0), min(height - crop.top, side), _ROWS_AT_ONCE):
        last = min(first + _ROWS_AT_ONCE, height - crop.top, side)
        band = (slice(first + crop.top, last + crop.top), frame_columns)
        inside = prepared.field_of_view.mask[band]
        changed = pixels[band] + small.at_rows(pixels[band], side, first, last, columns)
        restored[band][inside] = changed.clip(0, 1)[inside]
    return restored


def _copy_of_square(pixels: np.ndarray, crop: SquareCrop, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The crop's square and its mask at `side`, the surround mirrored."""
    if side == crop.side:
        return crop.extract(pixels), crop.extract_mask(crop.mask)
    share_inside = _shrunk_cutout(crop.mask.astype(np.uint8)[:, :, None] * np.uint8(255), crop, side)[:, :, 0]
    # Only pixels wholly inside are free of the dark surround; if a field of view is too thin for any, take the fullest.
    inside = share_inside == share_inside.max()
    cutout = _shrunk_cutout(pixels, crop, side).clip(0, 1)
    filled = SquareCrop(top=0, left=0, side=side, mask=inside).extract(cutout)
    return filled, share_inside > 0


def _shrunk_cutout(pixels: np.ndarray, crop: SquareCrop, side: int) -> np.ndarray:
    """The crop's square of any (H, W, C), averaged over areas to (side, side, C); zero beyond the photograph."""
    height, width = pixels.shape[:2]
    above, left = max(-crop.top, 0), max(-crop.left, 0)
    below, right = max(crop.top + crop.side - height, 0), max(crop.left + crop.side - width, 0)
    cutout = pixels[max(crop.top, 0) : crop.top + crop.side, max(crop.left, 0) : crop.left + crop.side]
    if above or below or left or right:
        cutout = cv2.copyMakeBorder(cutout, above, below, left, right, cv2.BORDER_CONSTANT, value=0)
    shrunk = cv2.resize(cutout, (side, side), interpolation=cv2.INTER_AREA)
    return shrunk.reshape(side, side, pixels.shape[2])
