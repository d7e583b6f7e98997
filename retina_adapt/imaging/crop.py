"""Cut a photograph to the square around its field of view, and put the square back exactly where it was.

Networks want squares; cameras deliver 3:2 frames with a black surround. The hard edge of that surround is the
strongest edge of the picture: a network spends its capacity on it and bleeds it into the tissue beside the rim. So
beyond the field of view the square is filled with mirrored tissue (`mirror.py`).
"""

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from retina_adapt.imaging.field_of_view import FieldOfView, FieldOfViewError
from retina_adapt.imaging.mirror import fill_places, mirror_places

# Share of the square that the field of view must fill; a disc fills 0.79. The square around a strip or a few specks
# would be nearly all mirrored tissue, and that around a damaged file's strip of 2 x 40,000 pixels too large for memory.
_SMALLEST_SHARE = 1 / 16


@dataclass(frozen=True, eq=False)
class SquareCrop:
    """The square that just holds a field of view, in the pixel coordinates of one photograph.

    Attributes:
        top, left: first row and column of the square; negative where the square begins outside the frame.
        side: height and width of the square in pixels.
        mask: field of view, bool (H, W) of the photograph; only its pixels are ever changed by `restore`.
    """

    top: int
    left: int
    side: int
    mask: np.ndarray = field(repr=False)
    # Kept because one crop cuts both pictures of a pair, or a photograph and its mask.
    _mirrors: dict[int | None, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def around(cls, field_of_view: FieldOfView) -> "SquareCrop":
        """The smallest square, centred on the bounding box, that holds every pixel of the field of view."""
        mask = field_of_view.mask
        rows = np.flatnonzero(mask.any(axis=1))
        columns = np.flatnonzero(mask.any(axis=0))
        if rows.size == 0:
            raise ValueError("the field of view is empty: there is nothing to crop to")
        height = int(rows[-1] - rows[0]) + 1
        width = int(columns[-1] - columns[0]) + 1
        side = max(height, width)
        top = int(rows[0]) - (side - height) // 2
        left = int(columns[0]) - (side - width) // 2
        return cls(top=top, left=left, side=side, mask=mask)

    def extract(self, pixels: np.ndarray, *, reach: int | None = None) -> np.ndarray:
        """Cut out the square, filled with mirrored tissue outside the field of view.

        Args:
            pixels: (H, W, C) of the photograph that the crop was made for, any dtype.
            reach: fill only what lies within this many pixels of the field of view, for callers that never look
                beyond; None fills the square.

        Returns:
            (side, side, C), same dtype; inside the field of view exactly the values of `pixels`.
        """
        self._check_frame(pixels, "pixels")
        in_square, in_frame = self._overlap
        square = np.zeros((self.side, self.side, pixels.shape[2]), dtype=pixels.dtype)
        square[in_square] = pixels[in_frame]
        if reach not in self._mirrors:
            self._mirrors[reach] = mirror_places(self.extract_mask(self.mask), reach)
        fill_places(square, *self._mirrors[reach])
        return square

    def extract_mask(self, mask: np.ndarray) -> np.ndarray:
        """Cut the square out of a bool (H, W) mask; (side, side), False outside the frame."""
        self._check_frame(mask, "mask")
        in_square, in_frame = self._overlap
        square = np.zeros((self.side, self.side), dtype=bool)
        square[in_square] = mask[in_frame]
        return square

    def restore(self, square: np.ndarray, onto: np.ndarray) -> np.ndarray:
        """Paste a square's field of view back into a photograph; the exact inverse of `extract`.

        Args:
            square: (side, side, C), for example an enhanced version of what `extract` returned.
            onto: (H, W, C) photograph; not modified.

        Returns:
            Copy of `onto` with the field of view from `square`; all other pixels keep every bit.
        """
        self._check_frame(onto, "onto")
        if square.shape != (self.side, self.side, onto.shape[2]):
            raise ValueError(
                f"square has shape {square.shape}, but this crop restores {(self.side, self.side, onto.shape[2])}"
            )
        in_square, in_frame = self._overlap
        restored = onto.copy()
        inside = self.mask[in_frame]
        restored[in_frame][inside] = square[in_square][inside]
        return restored

    @cached_property
    def _overlap(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where square and frame overlap, as slices of the square and of the frame."""
        height, width = self.mask.shape
        first_row, first_column = max(self.top, 0), max(self.left, 0)
        last_row, last_column = min(self.top + self.side, height), min(self.left + self.side, width)
        in_frame = (slice(first_row, last_row), slice(first_column, last_column))
        in_square = (
            slice(first_row - self.top, last_row - self.top),
            slice(first_column - self.left, last_column - self.left),
        )
        return in_square, in_frame

    def _check_frame(self, array: np.ndarray, name: str) -> None:
        dimensions = 2 if name == "mask" else 3
        if array.ndim != dimensions or array.shape[:2] != self.mask.shape:
            raise ValueError(f"{name} has shape {array.shape}, but this crop was made for a frame of {self.mask.shape}")


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H, W, C) pixels to (height, width, C) float32 in [0, 1].

    Shrinking averages over areas, so fine vessels fade instead of aliasing; enlarging is bicubic, its overshoot
    clipped. At the same size values come back unchanged, apart from the clip.
    """
    channels = pixels.shape[2]
    resized: np.ndarray = pixels.astype(np.float32)
    # One axis after the other: a frame may shrink along one axis and grow along the other.
    for target in ((resized.shape[0], width), (height, width)):
        if resized.shape[:2] != target:
            shrinks = target[0] * target[1] < resized.shape[0] * resized.shape[1]
            interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            resized = cv2.resize(resized, target[::-1], interpolation=interpolation)
            resized = resized.reshape(*target, channels)  # OpenCV drops the axis of a single channel
    return np.clip(resized, 0.0, 1.0)


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a bool (H, W) mask to (height, width); True where at least half of a pixel's area was True."""
    return resize(mask[:, :, None], height, width)[:, :, 0] >= 0.5


def require_compact(crop: SquareCrop, name: str) -> None:
    """Refuse a field of view that is a strip or scattered.

    Args:
        name: what error messages call the photograph.

    Raises:
        FieldOfViewError: it fills less than a sixteenth of the square around it.
    """
    share = np.count_nonzero(crop.mask) / crop.side**2
    if share < _SMALLEST_SHARE:
        raise FieldOfViewError(
            f"{name}: the field of view fills only {share:.2g} of the square around it, {crop.side} px a side; "
            "leave such strips out, or give a mask of all tissue"
        )
