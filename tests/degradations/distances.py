"""Where pixels lie in a frame."""

from collections.abc import Sequence

import numpy as np

from retina_adapt.degradations.frame import centered_coordinates


def distance_from(pixels: np.ndarray, center: Sequence[float]) -> np.ndarray:
    """Distance (H, W) of every pixel from `center` = [x, y], all in shorter sides."""
    x, y = centered_coordinates(pixels)
    return np.hypot(x - center[0], y - center[1])
