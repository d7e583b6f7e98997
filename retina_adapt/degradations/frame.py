"""Positions, lengths and colours of degradations, independent of the frame's size in pixels.

Every length is a fraction of the frame's shorter side and every position is relative to its centre, so that the same
parameters draw the same picture at any size.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

# Smooth fields are computed at this many points along the shorter side and enlarged: at 512 pixels a sixteenth of the
# work, with an error below a quarter of an 8-bit grey level.
_FIELD_POINTS = 128


def shorter_side(pixels: np.ndarray) -> int:
    """The shorter side in pixels of (H, W, C) pixels: the unit of all lengths."""
    return min(pixels.shape[:2])


def centered_coordinates(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres as float32 x (1, W) and y (H, 1), in shorter sides from the frame's centre; y points down."""
    height, width = pixels.shape[:2]
    side = shorter_side(pixels)
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / side
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / side
    return x[None, :], y[:, None]


def smooth_field(pixels: np.ndarray, formula: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Evaluate a field without edges over the frame, float32 (H, W) or (H, W, C).

    Args:
        pixels: (H, W, C); only the frame's size matters.
        formula: gives the field, (h, w) or (h, w, C), at coordinates x (1, w) and y (h, 1) as from
            `centered_coordinates`.
    """
    height, width = pixels.shape[:2]
    side = shorter_side(pixels)
    cell = max(1, side // _FIELD_POINTS)
    if cell == 1:
        return formula(*centered_coordinates(pixels)).astype(np.float32, copy=False)
    # One cell more on each side: enlarging would otherwise repeat the outermost value.
    columns, rows = (np.arange(-1, -(-length // cell) + 1, dtype=np.float32) for length in (width, height))
    x = ((columns + 0.5) * cell - width / 2) / side
    y = ((rows + 0.5) * cell - height / 2) / side
    coarse = formula(x[None, :], y[:, None]).astype(np.float32, copy=False)
    fine = cv2.resize(coarse, (len(columns) * cell, len(rows) * cell), interpolation=cv2.INTER_LINEAR)
    return fine[cell : cell + height, cell : cell + width].reshape(height, width, *coarse.shape[2:])


def for_each_channel(field: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Repeat a field (H, W) for every channel of `pixels`, giving (H, W, C): much faster than broadcasting it."""
    return cv2.merge([field] * pixels.shape[2]).reshape(pixels.shape)


def change_colors(pixels: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """matrix @ colour + offset for every pixel; matrix (C, C), offset (C,)."""
    return cv2.transform(pixels, np.column_stack([matrix, offset]).astype(np.float32)).reshape(pixels.shape)


def soft_disc(distance: np.ndarray, radius: float, softness: float) -> np.ndarray:
    """A disc with a soft edge: 1 inside, one half at `radius`, 0 outside, over about 4 x `softness`.

    The logistic profile stands for the Gaussian-blurred disc of Shen et al. 2020, without a convolution.
    """
    return 0.5 - 0.5 * np.tanh((distance - radius) / (2 * softness))


def mean_color(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean (C,) of the pixels in the field of view, which must not be empty."""
    mean = cv2.mean(pixels, mask.astype(np.uint8))[: pixels.shape[2]]
    return np.array(mean, dtype=np.float32)


def fit_channels(color: Sequence[float], pixels: np.ndarray) -> np.ndarray:
    """An RGB colour as (C,) for these pixels; a grey frame takes its strongest channel."""
    rgb = np.asarray(color, dtype=np.float32)
    return rgb if pixels.shape[2] == 3 else rgb.max(keepdims=True)
