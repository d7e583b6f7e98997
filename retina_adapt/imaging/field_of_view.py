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
from retina_adapt.imaging.circle_fit import Circle, fit_circle, is_on_circle

FieldOfViewShape = Literal["auto", "circle", "full_frame"]

# The fit works on a small copy: fast, and JPEG noise and dust in the surround average out.
_WORKING_SIZE = 640
# In a smaller picture the surround, the rim and the tissue would share a dozen pixels.
_SMALLEST_SIDE = 16
# Brightness at which the rim is sought, from surround (0) to bright tissue (1). High levels stay clear of noise, stray
# light and blur; a lower one, which follows dim rims, is preferred only if it shows this much more of the circle.
_RIM_LEVELS = (0.3, 0.12, 0.05, 0.02)
_WORTHWHILE_GAIN = 0.04
_SMALLEST_CONTRAST = 1.5 / 255  # below this the whole picture is within the rounding of an 8-bit file
_BRIGHTEST_SURROUND = 0.5  # a surround brighter than this share of the tissue's brightness is tissue itself
_SMALLEST_RADIUS, _LARGEST_RADIUS = 0.12, 1.0  # of the frame's longer side
_SMALLEST_RIM_SHARE = 0.4  # of the part of the circle that lies in the frame
_SMALLEST_ARC = 0.08  # of the full circle: a shorter arc does not determine the radius
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
            for a full frame and for a mask given by the user.
    """

    mask: np.ndarray
    circle: Circle | None


def find_field_of_view(
    pixels: np.ndarray,
    *,
    name: str = "photograph",
    mask: np.ndarray | None = None,
    field_of_view: FieldOfViewShape = "auto",
) -> FieldOfView:
    """Find the field of view of one photograph.

    Args:
        pixels: (H, W, C) in [0, 1].
        name: what error messages call the photograph, usually its file name.
        mask: (H, W) mask from another source, nonzero on tissue; used as it is.
        field_of_view: "circle" expects a round aperture in a dark surround, "full_frame" takes every pixel, "auto"
            looks for the circle and takes the full frame if there is no dark surround, as in photographs of blood
            smears.

    Raises:
        FieldOfViewError: the given mask is empty or of another shape; or the photograph is smaller than 16 px a side,
            or has no contrast, no plausible circle where one is expected, or two fields of view.
    """
    frame_shape = pixels.shape[:2]
    if mask is not None:
        return _given(mask, frame_shape, name)
    if field_of_view == "full_frame":
        return FieldOfView(np.ones(frame_shape, dtype=bool), None)

    brightness, scale = _working_copy(pixels)
    dark, bright = np.percentile(brightness, (1, 90))
    if min(frame_shape) < _SMALLEST_SIDE:
        raise FieldOfViewError(
            f"{name}: {frame_shape[1]} x {frame_shape[0]} px are too few to find a field of view in; {_REMEDY}"
        )
    if bright - dark < _SMALLEST_CONTRAST:
        raise FieldOfViewError(f"{name}: black or without any contrast, no field of view to find; {_REMEDY}")
    if dark <= _BRIGHTEST_SURROUND * bright:
        found = _find_circle(brightness, dark, bright)
        if found is not None:
            circle, tissue = found
            _require_no_other(brightness, dark, bright, circle, name)
            return _disc(circle, _uncut_box(tissue, circle), scale, frame_shape)
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


def _find_circle(brightness: np.ndarray, dark: float, bright: float) -> tuple[Circle, np.ndarray] | None:
    """Find the most complete circle over all rim levels, with the tissue (bool) at its level."""
    longer_side = max(brightness.shape)
    best, share_to_beat = None, _SMALLEST_RIM_SHARE
    for level in _RIM_LEVELS:
        threshold = dark + level * (bright - dark)
        tissue = _largest_component(brightness > threshold)
        points = _rim_points(brightness, tissue, threshold)
        circle = fit_circle(points, _SMALLEST_RADIUS * longer_side, _LARGEST_RADIUS * longer_side)
        if circle is None:
            continue
        share = _rim_share(points, circle, brightness, dark + 0.5 * (bright - dark))
        if share > share_to_beat:
            best, share_to_beat = (circle, tissue), share + _WORTHWHILE_GAIN
        if share_to_beat >= 1.0:
            break
    return best


def _require_no_other(brightness: np.ndarray, dark: float, bright: float, circle: Circle, name: str) -> None:
    """Refuse a picture of two eyes: one would be enhanced and the other left as it is."""
    y, x = np.ogrid[: brightness.shape[0], : brightness.shape[1]]
    distance = (x - circle.center_x) ** 2 + (y - circle.center_y) ** 2
    beside = (brightness > dark + _RIM_LEVELS[0] * (bright - dark)) & (distance > (1.05 * circle.radius) ** 2)
    disc = np.count_nonzero(distance <= circle.radius**2)
    if np.count_nonzero(_largest_component(beside)) > _LARGEST_OTHER_SHARE * disc:
        raise FieldOfViewError(
            f"{name}: holds a second field of view beside the first; cut the picture in two (retina-adapt "
            "enhance also takes a mask of the tissue, --masks)"
        )


def _largest_component(tissue: np.ndarray) -> np.ndarray:
    """Keep the largest connected piece alone, without the labels that some cameras print into the corners."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(tissue.astype(np.uint8))
    if count == 1:
        return tissue
    return labels == 1 + np.argmax(statistics[1:, cv2.CC_STAT_AREA])


def _rim_points(brightness: np.ndarray, tissue: np.ndarray, threshold: float) -> np.ndarray:
    """Points x, y, (N, 2), where each row and column first and last crosses the threshold, to a fraction of a pixel.

    Only outermost crossings count, so dark lesions and shadows inside the disc contribute none. Crossings at the
    frame's edge are left out: there the sensor ends, not the aperture.
    """
    points = []
    for transposed in (False, True):
        for backwards in (False, True):
            values, inside = (brightness.T, tissue.T) if transposed else (brightness, tissue)
            if backwards:
                values, inside = values[:, ::-1], inside[:, ::-1]
            lines = np.flatnonzero(inside.any(axis=1))
            first = inside[lines].argmax(axis=1)
            lines, first = lines[first > 1], first[first > 1]
            before, after = values[lines, first - 1], values[lines, first]
            fraction = np.clip((after - threshold) / np.maximum(after - before, 1e-6), 0.0, 1.0)
            crossing = first - fraction
            if backwards:
                crossing = values.shape[1] - 1 - crossing
            points.append(np.column_stack([lines, crossing] if transposed else [crossing, lines]))
    return np.concatenate(points)


def _rim_share(points: np.ndarray, circle: Circle, brightness: np.ndarray, brightest_surround: float) -> float:
    """Share of the circle inside the frame that has a rim point on it and dark surround beyond it.

    0 if that arc is too short to be trusted.
    """
    bins = 180
    angle = (np.arange(bins) + 0.5) * (2 * np.pi / bins)
    height, width = brightness.shape
    beyond_x = np.rint(circle.center_x + 1.03 * circle.radius * np.cos(angle)).astype(int)
    beyond_y = np.rint(circle.center_y + 1.03 * circle.radius * np.sin(angle)).astype(int)
    in_frame = (beyond_x >= 0) & (beyond_x < width) & (beyond_y >= 0) & (beyond_y < height)

    on_circle = points[is_on_circle(points, circle)]
    angle_of_point = np.arctan2(on_circle[:, 1] - circle.center_y, on_circle[:, 0] - circle.center_x)
    supported = np.zeros(bins, dtype=bool)
    supported[np.floor(angle_of_point % (2 * np.pi) * (bins / (2 * np.pi))).astype(int) % bins] = True
    supported &= in_frame
    supported[in_frame] &= brightness[beyond_y[in_frame], beyond_x[in_frame]] < brightest_surround
    if supported.sum() < _SMALLEST_ARC * bins:
        return 0.0
    return float(supported.sum() / in_frame.sum())


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


def _disc(
    circle: Circle, box: tuple[float, float, float, float], scale: float, frame_shape: tuple[int, int]
) -> FieldOfView:
    """The field of view at the photograph's own size."""
    circle = circle.scaled(1.0 / scale)
    margin = _RIM_MARGIN * circle.radius
    left, top, right, bottom = ((limit + 0.5) / scale - 0.5 for limit in box)
    y = np.arange(frame_shape[0], dtype=np.float32)[:, None]
    x = np.arange(frame_shape[1], dtype=np.float32)[None, :]
    # Squares instead of distances: a root for each of ten million pixels takes longer than all the rest.
    mask = (x - circle.center_x) ** 2 + (y - circle.center_y) ** 2 < (circle.radius - margin) ** 2
    mask &= (x > left + margin) & (x < right - margin) & (y > top + margin) & (y < bottom - margin)
    return FieldOfView(mask, circle)


def _has_dark_border(brightness: np.ndarray, dark: float, bright: float) -> bool:
    """Whether most of the frame's outermost pixels are surround."""
    border = np.concatenate([brightness[0], brightness[-1], brightness[:, 0], brightness[:, -1]])
    is_dark = border < dark + _RIM_LEVELS[0] * (bright - dark)
    return bool(dark <= _BRIGHTEST_SURROUND * bright and is_dark.mean() > 0.5)
