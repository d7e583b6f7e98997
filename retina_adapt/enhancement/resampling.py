"""Resize squares of pixels, which may be negative, and enlarge one a band of rows at a time."""

import cv2
import numpy as np

# The cubic that reproduces parabolas (Keys 1981, "Cubic convolution interpolation"). OpenCV's own, with -0.75,
# overshoots more, which would show as halos beside vessels.
_CUBIC = -0.5


def shrink(square: np.ndarray, side: int) -> np.ndarray:
    """Average (n, n, C) over areas to float32 (side, side, C), side <= n; at the same size, values stay as they are."""
    if square.shape[0] == side:
        return square.astype(np.float32, copy=False)
    shrunk = cv2.resize(square.astype(np.float32, copy=False), (side, side), interpolation=cv2.INTER_AREA)
    return shrunk.reshape(side, side, square.shape[2])  # OpenCV drops the axis of a single channel


def enlarge_rows(square: np.ndarray, side: int, start: int, stop: int, columns: slice = slice(None)) -> np.ndarray:
    """Enlarge part of (n, n, C) cubically, as to (side, side, C), side >= n; float32, may overshoot.

    The part is rows `start` to `stop` (not included) and `columns` of the enlarged square.
    """
    taps, weights = _cubic_taps(square.shape[0], side, start, stop)
    first = int(taps.min())
    source = square[first : int(taps.max()) + 1].astype(np.float32, copy=False)
    column_taps, column_weights = (part[columns] for part in _cubic_taps(square.shape[1], side, 0, side))
    wide = sum(source[:, column_taps[:, tap]] * column_weights[:, tap, None] for tap in range(4))
    # A dense matrix of few columns, since a band needs few source rows: faster than gathering four of them for each
    # row.
    matrix = np.zeros((stop - start, source.shape[0]), dtype=np.float32)
    for tap in range(4):
        np.add.at(matrix, (np.arange(stop - start), taps[:, tap] - first), weights[:, tap])
    return (matrix @ wide.reshape(source.shape[0], -1)).reshape(stop - start, wide.shape[1], square.shape[2])


def _cubic_taps(size: int, target: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """The four source pixels, repeated at the border, and their weights for each target pixel in [start, stop)."""
    position = (np.arange(start, stop) + 0.5) * (size / target) - 0.5
    before = np.floor(position).astype(np.intp)
    taps = before[:, None] + np.arange(-1, 3)
    distance = np.abs(position[:, None] - taps)
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = ((_CUBIC * distance - 5 * _CUBIC) * distance + 8 * _CUBIC) * distance - 4 * _CUBIC
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    return taps.clip(0, size - 1), weights.astype(np.float32)
