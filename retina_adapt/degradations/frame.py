"""Positions, lengths and colors of degradations, independent of how many pixels the frame has.

Every length is a fraction of the frame's shorter side and every position is counted from its center, so that
the same parameters draw the same picture at any size.
"""

from collections.abc import Sequence

import cv2
import numpy as np


def shorter_side(pixels: np.ndarray) -> int:
    """The shorter side in pixels of (H, W, C) pixels: the unit of all lengths."""
    return min(pixels.shape[:2])


def centered_coordinates(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centers as float32 x (1, W) and y (H, 1), in shorter sides from the center; y points down."""
    height, width = pixels.shape[:2]
    side = shorter_side(pixels)
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / side
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / side
    return x[None, :], y[:, None]


def distance_from(pixels: np.ndarray, center: Sequence[float]) -> np.ndarray:
    """Distance (H, W) of every pixel from `center` = [x, y], all in shorter sides."""
    x, y = centered_coordinates(pixels)
    return np.sqrt((x - center[0]) ** 2 + (y - center[1]) ** 2)


def soft_disc(distance: np.ndarray, radius: float, softness: float) -> np.ndarray:
    """A disc without an edge: 1 inside, one half at `radius`, 0 outside, over about 4 x `softness`.

    The logistic profile stands for the Gaussian-blurred disc of Shen et al. 2020, without a convolution.
    """
    return 0.5 - 0.5 * np.tanh((distance - radius) / (2 * softness))


def mean_color(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean (C,) of the pixels in the field of view, which must not be empty."""
    mean = cv2.mean(pixels, mask.astype(np.uint8))[: pixels.shape[2]]
    return np.array(mean, dtype=np.float32)


def fit_channels(color: Sequence[float], pixels: np.ndarray) -> np.ndarray:
    """An RGB color as (C,) for these pixels; a grey frame takes its strongest channel."""
    rgb = np.asarray(color, dtype=np.float32)
    return rgb if pixels.shape[2] == 3 else rgb.max(keepdims=True)
