"""Find where a photograph shows tissue: a fundus camera's field of view, or the full frame of other cameras.

The camera's aperture is round, but sensors cut it off at top and bottom or at the sides, makers add tabs and
notches to its rim, labels sit in the corners, and the tissue beside the rim may be nearly as dark as the
surround. A plain threshold would follow all of these. Here a threshold only proposes rim points; a robust circle
fit decides, and the field of view is the whole disc, with any dark lesions, shadows and vignettes inside it.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging.circle_fit import Circle
from retina_adapt.imaging.rim import RIM_LEVELS, Rim, find_rim, largest_component

FieldOfViewShape = Literal["auto", "circle", "full_frame"]

# The fit works on a small copy: fast, and JPEG noise and dust in the surround average out.
_WORKING_SIZE = 640
# In a smaller picture the surround, the rim and the tissue would share a dozen pixels.
_SMALLEST_SIDE = 16
_SMALLEST_CONTRAST = 1.5 / 255  # below this the whole picture is within the rounding of an 8-bit file
_BRIGHTEST_SURROUND = 0.5  # a surround brighter than this share of the tissue's brightness is tissue itself
_REMEDY = (
    "where tissue fills the frame, give the shape full_frame (--field-of-view full_frame); retina-adapt enhance also "
    "takes a mask of the tissue (--masks)"
)
_LARGEST_OTHER_SHARE = 0.25  # of the disc's area, in one piece beside it: labels are smaller, a second eye is larger
_RIM_MARGIN = 0.006  # of the radius: keeps the blurred rim out of the mask, about 1.5 px at 512 px


class FieldOfViewError(RetinaAdaptError):
    """No field of view was found, or the given one does not fit; the message names the remedy."""


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """Where a photograph shows tissue.

    Attributes:
        mask: bool (H, W), True on tissue.
        circle: rim of the camera's aperture, in pixels of the photograph; may reach beyond the frame. None
            for a full frame, for a mask given by the user, and in a stretched picture, where the rim is an ellipse.
    """

    mask: np.ndarray
    circle: Circle | None


def find_field_of_view(
    pixels: np.ndarray,
    *,
    name: str = "photograph",
    mask: np.ndarray | None = None,
    field_of_view: FieldOfViewShape = "auto",
    transparent: np.ndarray | None = None,
) -> FieldOfView:
    """Find the field of view of one photograph.

    Args:
        pixels: (H, W, C) in [0, 1].
        name: what error messages call the photograph, usually its file name.
        mask: (H, W) mask from another source, nonzero on tissue; used as it is.
        field_of_view: "circle" expects a round aperture in a dark surround, "full_frame" takes every pixel, "auto"
            looks for the circle and takes the full frame if there is no dark surround, as in photographs of blood
            smears.
        transparent: bool (H, W), where the picture is transparent: taken for surround, although programs often leave it
            white underneath; see `Photograph.transparent`.

    Raises:
        FieldOfViewError: the given mask is empty or of another shape; or the photograph is smaller than 16 px a side,
            or has no contrast, no plausible circle where one is expected, or two fields of view.
    """
    frame_shape = pixels.shape[:2]
    if mask is not None:
        return _given(mask, frame_shape, name)
    if field_of_view == "full_frame":
        return FieldOfView(np.ones(frame_shape, dtype=bool), None)

    if transparent is not None:
        pixels = pixels * ~transparent[:, :, None]
    brightness, scale = _working_copy(pixels)
    dark, bright = np.percentile(brightness, (1, 90))
    if bright - dark < _SMALLEST_CONTRAST:
        # Tissue may fill less than a tenth of the frame.
        bright = np.percentile(brightness, 99)
    if min(frame_shape) < _SMALLEST_SIDE:
        raise FieldOfViewError(
            f"{name}: {frame_shape[1]} x {frame_shape[0]} px are too few to find a field of view in; {_REMEDY}"
        )
    if bright - dark < _SMALLEST_CONTRAST:
        raise FieldOfViewError(f"{name}: black or without any contrast, no field of view to find; {_REMEDY}")
    if dark <= _BRIGHTEST_SURROUND * bright:
        rim = find_rim(brightness, dark, bright)
        if rim is not None:
            _require_no_other(rim, dark, bright, name)
            return _disc(rim, scale, frame_shape)
    if field_of_view == "circle" or _has_dark_border(brightness, dark, bright):
        raise FieldOfViewError(f"{name}: no circular field of view found; {_REMEDY}")
    return FieldOfView(np.ones(frame_shape, dtype=bool), None)


def _given(mask: np.ndarray, frame_shape: tuple[int, int], name: str) -> FieldOfView:
    if mask.shape != frame_shape:
        raise FieldOfViewError(
            f"{name}: the given mask has shape {mask.shape}, the photograph {frame_shape}; "
            "give a mask of the photograph's height and width, turned upright as the photograph is"
        )
    marked = mask.astype(bool)
    if not marked.any():
        raise FieldOfViewError(f"{name}: the given mask is empty; mark the tissue with nonzero values")
    return FieldOfView(marked, None)


def _working_copy(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Small, slightly blurred copy of each pixel's brightest channel, and its scale relative to the photograph.

    The brightest, since tissue is dark in blue, and where it is heavily pigmented in green too.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, _WORKING_SIZE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels.astype(np.float32, copy=False), size, interpolation=cv2.INTER_AREA)
    brightness = small if small.ndim == 2 else np.maximum.reduce(cv2.split(small))
    return cv2.GaussianBlur(brightness, (0, 0), 1.0), scale


def _require_no_other(rim: Rim, dark: float, bright: float, name: str) -> None:
    """Refuse a picture of two eyes: one would be enhanced and the other left as it is."""
    brightness, circle = rim.brightness, rim.circle
    y, x = np.ogrid[: brightness.shape[0], : brightness.shape[1]]
    distance = (x - circle.center_x) ** 2 + (y - circle.center_y) ** 2
    beside = (brightness > dark + RIM_LEVELS[0] * (bright - dark)) & (distance > (1.05 * circle.radius) ** 2)
    disc = np.count_nonzero(distance <= circle.radius**2)
    if np.count_nonzero(largest_component(beside)) > _LARGEST_OTHER_SHARE * disc:
        raise FieldOfViewError(
            f"{name}: holds a second field of view beside the first; cut the picture in two (retina-adapt "
            "enhance also takes a mask of the tissue, --masks)"
        )


def _uncut_box(tissue: np.ndarray, circle: Circle) -> tuple[float, float, float, float]:
    """Left, top, right and bottom limits, in pixels, where black bands cut the disc straight.

    Infinite on sides that no band cuts.
    """
    height, width = tissue.shape
    mirrored = Circle(width - 1 - circle.center_x, height - 1 - circle.center_y, circle.radius)
    top = _straight_cut(tissue, circle.center_x, circle.center_y, circle.radius)
    left = _straight_cut(tissue.T, circle.center_y, circle.center_x, circle.radius)
    bottom = _straight_cut(tissue[::-1], circle.center_x, mirrored.center_y, circle.radius)
    right = _straight_cut(tissue.T[::-1], circle.center_y, mirrored.center_x, circle.radius)
    return left, top, width - 1 - right, height - 1 - bottom


def _straight_cut(tissue: np.ndarray, center_x: float, center_y: float, radius: float) -> float:
    """First row of tissue below a straight cut across the top of the disc; minus infinity without such a cut.

    A cut differs from a shadow in its straight edge: nearly all columns along the chord begin in the same row.
    """
    columns = np.arange(tissue.shape[1])
    half_chord = np.sqrt(np.maximum(radius**2 - (columns - center_x) ** 2, 0.0))
    rim = np.maximum(center_y - half_chord, 0.0)
    central = (np.abs(columns - center_x) < 0.15 * radius) & tissue.any(axis=0)
    if not central.any():
        return -np.inf
    first_row = tissue.argmax(axis=0)
    cut = np.median(first_row[central])
    chord = (np.abs(columns - center_x) < radius) & (rim < cut - 1.0)
    if chord.sum() < 0.3 * radius or np.mean(np.abs(first_row[chord] - cut) <= 1.5) < 0.8:
        return -np.inf
    return float(cut)


def _disc(rim: Rim, scale: float, frame_shape: tuple[int, int]) -> FieldOfView:
    """The field of view at the photograph's own size."""
    circle = rim.circle.scaled(1.0 / scale)
    margin = _RIM_MARGIN * circle.radius
    left, top, right, bottom = ((limit + 0.5) / scale - 0.5 for limit in _uncut_box(rim.tissue, rim.circle))
    # Where the photograph's pixels lie in a copy of its size in which the rim is round.
    height, width = max(1.0, rim.stretch), max(1.0, 1 / rim.stretch)
    y = ((np.arange(frame_shape[0], dtype=np.float32) + 0.5) * np.float32(height) - 0.5)[:, None]
    x = ((np.arange(frame_shape[1], dtype=np.float32) + 0.5) * np.float32(width) - 0.5)[None, :]
    # Squares instead of distances: a root for each of ten million pixels takes longer than all the rest.
    mask = (x - circle.center_x) ** 2 + (y - circle.center_y) ** 2 < (circle.radius - margin) ** 2
    mask &= (x > left + margin) & (x < right - margin) & (y > top + margin) & (y < bottom - margin)
    return FieldOfView(mask, circle if rim.stretch == 1 else None)


def _has_dark_border(brightness: np.ndarray, dark: float, bright: float) -> bool:
    """Whether most of the frame's outermost pixels are surround."""
    border = np.concatenate([brightness[0], brightness[-1], brightness[:, 0], brightness[:, -1]])
    is_dark = border < dark + RIM_LEVELS[0] * (bright - dark)
    return bool(dark <= _BRIGHTEST_SURROUND * bright and is_dark.mean() > 0.5)
