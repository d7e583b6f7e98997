"""A drawn fundus photograph: smooth ground, a bright disc, dark vessels; the same picture at any size."""

import numpy as np


def draw_fundus(height: int, width: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Float32 pixels (height, width, channels) and the round field of view (height, width)."""
    side = min(height, width)
    x = (np.arange(width) + 0.5 - width / 2)[None, :] / side
    y = (np.arange(height) + 0.5 - height / 2)[:, None] / side
    ground = 0.55 - 0.3 * (x**2 + y**2)
    disc = 0.35 * np.exp(-((x - 0.2) ** 2 + y**2) / 0.004)
    vessels = 0.2 * np.exp(-((np.sin(9 * x) * 0.15 - y) ** 2) / 0.0003)
    grey = ground + disc - vessels
    color = np.stack([grey, 0.6 * grey, 0.3 * grey], axis=2)[:, :, :channels]
    mask = np.hypot(x, y) < 0.47
    # What lies outside is not black, so that a change there would show.
    pixels = np.where(mask[..., None], color, 0.02)
    return pixels.astype(np.float32), mask
