"""Find the rim of a fundus camera's aperture in a small copy of a photograph.

Stretched pictures are common, in data sets of square pictures for instance: there the rim is an ellipse, and is sought
in a copy with the proportions in which it is round.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from retina_adapt.imaging.circle_fit import Circle, fit_circle, is_on_circle, stretch_of_ellipse

# Brightness at which the rim is sought, from surround (0) to bright tissue (1). High levels stay clear of noise, stray
# light and blur; a lower one, which follows dim rims, is preferred only if it shows this much more of the circle.
RIM_LEVELS = (0.3, 0.12, 0.05, 0.02)
_WORTHWHILE_GAIN = 0.04
_SMALLEST_RADIUS, _LARGEST_RADIUS = 0.12, 1.0  # of the frame's longer side
_SMALLEST_RIM_SHARE = 0.4  # of the part of the circle that lies in the frame
_SMALLEST_ARC = 0.08  # of the full circle: a shorter arc does not determine the radius
# Shares of the rim points that lie on the circle. In the corpus it is 0.94 or more, and 0.8 or less once photographs
# are stretched by 1.03 or more. Unstretched, it must be so much larger, and not small: an ellipse fits many a shape.
_SHARE_WHEN_ROUND, _WORTHWHILE_UNSTRETCHING, _SHARE_WHEN_STRETCHED = 0.9, 0.1, 0.6
_LARGEST_STRETCH = 2.5


@dataclass(frozen=True, eq=False)
class Rim:
    """The rim of the aperture.

    Attributes:
        circle: in pixels of `brightness`.
        brightness: the copy in which the rim is round, float32 (h, w).
        tissue: what is brighter than the level at which the rim was found, bool (h, w).
        points: x and y where that level is crossed, (N, 2).
        stretch: width over height of the rim in the photograph; 1 if it is round there too.
    """

    circle: Circle
    brightness: np.ndarray
    tissue: np.ndarray
    points: np.ndarray
    stretch: float = 1.0


def find_rim(brightness: np.ndarray, dark: float, bright: float) -> Rim | None:
    """Find the most complete rim, round or stretched along an axis of the picture; None if there is none.

    Args:
        brightness: float32 (h, w) in [0, 1].
        dark, bright: brightness of the surround and of bright tissue.
    """
    rim = _find_round_rim(brightness, dark, bright)
    share = 0.0 if rim is None else _share_of_points(rim)
    if share >= _SHARE_WHEN_ROUND:
        return rim
    height, width = brightness.shape
    for level in RIM_LEVELS:
        stretch = stretch_of_ellipse(_tissue_and_points(brightness, dark, bright, level)[1])
        if stretch is None or not 1 / _LARGEST_STRETCH < stretch < _LARGEST_STRETCH:
            continue
        size = (round(width * max(1, 1 / stretch)), round(height * max(1, stretch)))
        found = _find_round_rim(cv2.resize(brightness, size, interpolation=cv2.INTER_LINEAR), dark, bright)
        least = max(share + _WORTHWHILE_UNSTRETCHING, _SHARE_WHEN_STRETCHED)
        if found is not None and _share_of_points(found) > least:
            return replace(found, stretch=stretch)
    return rim


def largest_component(tissue: np.ndarray) -> np.ndarray:
    """Keep the largest connected piece alone, without the labels that some cameras print into the corners."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(tissue.astype(np.uint8))
    if count == 1:
        return tissue
    return labels == 1 + np.argmax(statistics[1:, cv2.CC_STAT_AREA])


def _find_round_rim(brightness: np.ndarray, dark: float, bright: float) -> Rim | None:
    """The most complete circle over all rim levels."""
    longer_side = max(brightness.shape)
    best, share_to_beat = None, _SMALLEST_RIM_SHARE
    for level in RIM_LEVELS:
        tissue, points = _tissue_and_points(brightness, dark, bright, level)
        circle = fit_circle(points, _SMALLEST_RADIUS * longer_side, _LARGEST_RADIUS * longer_side)
        if circle is None:
            continue
        share = _rim_share(points, circle, brightness, dark + 0.5 * (bright - dark))
        if share > share_to_beat:
            best, share_to_beat = Rim(circle, brightness, tissue, points), share + _WORTHWHILE_GAIN
        if share_to_beat >= 1.0:
            break
    return best


def _tissue_and_points(
    brightness: np.ndarray, dark: float, bright: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """The tissue (bool) at a rim level, and its rim points."""
    threshold = dark + level * (bright - dark)
    tissue = largest_component(brightness > threshold)
    return tissue, _rim_points(brightness, tissue, threshold)


def _share_of_points(rim: Rim) -> float:
    return float(is_on_circle(rim.points, rim.circle).mean())


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
