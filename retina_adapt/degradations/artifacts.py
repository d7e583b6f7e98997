"""Faults of the lens surface, the sensor and the file: spots, noise, JPEG compression."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from retina_adapt.degradations.degradation import draw_uniform
from retina_adapt.degradations.frame import (
    centered_coordinates,
    fit_channels,
    for_each_channel,
    mean_color,
    shorter_side,
    soft_disc,
)
from retina_adapt.degradations.record import Parameters
from retina_adapt.degradations.registry import register_degradation

# RGB relative to the mean brightness: dust lit by the flash is whitish, dust in silhouette brownish.
_BRIGHT_DUST, _DARK_DUST = (2.4, 2.3, 2.0), (0.3, 0.18, 0.1)
_BRIGHT_SHARE = 0.7
_LARGEST_SPOT = 0.05
# Beyond this many radii a spot's soft edge has faded below one grey level of an 8-bit file.
_SPOT_REACH = 2.6
_EDGE_SOFTNESS = 0.3


def draw_spots(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw 10 to 20 specks of dust, radius 0.01 to 0.05 (Shen et al. 2020), all whitish or all brownish.

    Severity decides how many of them show, the last one fading in.
    """
    color = _BRIGHT_DUST if float(generator.random()) < _BRIGHT_SHARE else _DARK_DUST
    count = 10 + int(generator.random() * 11)
    spots: list[dict[str, Any]] = [
        {
            "center": [draw_uniform(generator, -0.42, 0.42), draw_uniform(generator, -0.42, 0.42)],
            "radius": draw_uniform(generator, 0.01, _LARGEST_SPOT),
            "visibility": min(max(severity * count - index, 0.0), 1.0),
        }
        for index in range(count)
    ]
    return {"color": list(color), "spots": [spot for spot in spots if spot["visibility"] > 0]}


def apply_spots(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Lay soft dust over the frame: I + cover x (min(mean(I) x colour, 1) - I).

    Opacity of one spot after Shen et al. 2020: k x (1 - exp(-beta x d)) with r = radius / 0.05,
    k = 14 / 25 + 1 - r, beta = 0.5 + r, d = 0.3 r: thick dust blocks more. Their dust adds light; here it covers, with
    three times the opacity, since it hides the vessels behind it.
    """
    x, y = centered_coordinates(pixels)
    clear_share = np.ones(pixels.shape[:2], dtype=np.float32)
    for spot in parameters["spots"]:
        center_x, center_y = spot["center"]
        reach = _SPOT_REACH * spot["radius"]
        # Only the spot's own window is changed: whole frames would cost more than all other steps.
        columns = slice(*np.searchsorted(x[0], (center_x - reach, center_x + reach)))
        rows = slice(*np.searchsorted(y[:, 0], (center_y - reach, center_y + reach)))
        distance = np.hypot(x[:, columns] - center_x, y[rows] - center_y)
        disc = soft_disc(distance, spot["radius"], _EDGE_SOFTNESS * spot["radius"])
        clear_share[rows, columns] *= 1 - spot["visibility"] * _opacity(spot["radius"]) * disc
    # The dust is lit by the same flash as the retina: on an underexposed one, white would look pasted in.
    dust = np.minimum(mean_color(pixels, mask).mean() * fit_channels(parameters["color"], pixels), 1.0)
    covered = pixels * for_each_channel(clear_share, pixels)
    covered += cv2.merge([(1 - clear_share) * brightness for brightness in dust]).reshape(pixels.shape)
    return covered


def draw_noise(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw the strengths of photon and electronic noise, the size of its grain, and its seed."""
    return {
        "shot": severity * draw_uniform(generator, 0.06, 0.09),
        "read": severity * draw_uniform(generator, 0.015, 0.03),
        "grain": draw_uniform(generator, 1 / 320, 1 / 160),
        "seed": int(generator.random() * 2**32),
    }


def apply_noise(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Add noise of variance shot^2 x I + read^2 (Foi et al. 2008, Poissonian-Gaussian noise of raw sensors).

    The grain is a fraction of the frame, not a pixel: noise is drawn on a grid whose cells are `grain` shorter sides
    wide, then resized to the frame. So one record gives one pattern at all sizes, averaged away where pixels are larger
    than its cells, as when a noisy photograph is scaled down. The variance is that of the grid: where pixels are
    smaller than its cells, interpolation between them leaves about three quarters of it.
    """
    height, width, channels = pixels.shape
    cells_per_pixel = 1 / (parameters["grain"] * shorter_side(pixels))
    grid = (max(1, round(height * cells_per_pixel)), max(1, round(width * cells_per_pixel)), channels)
    noise: np.ndarray = np.random.default_rng(parameters["seed"]).standard_normal(grid, dtype=np.float32)
    interpolation = cv2.INTER_AREA if grid[0] > height else cv2.INTER_CUBIC
    noise = cv2.resize(noise, (width, height), interpolation=interpolation).reshape(pixels.shape)
    deviation = parameters["shot"] ** 2 * pixels
    deviation += parameters["read"] ** 2
    noise *= np.sqrt(deviation, out=deviation)
    noise += pixels
    return noise


def draw_jpeg_compression(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw a JPEG quality: from 60 down to between 10 and 20 at severity 1; None (no compression) at severity 0."""
    worst_quality = draw_uniform(generator, 10, 20)
    return {"quality": round(60 - severity * (60 - worst_quality)) if severity > 0 else None}


def apply_jpeg_compression(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Encode as JPEG in memory, and decode.

    The one degradation that depends on the frame's size: the format's blocks are 8 pixels wide whatever the frame, so
    the same quality harms a small frame more, as it would a file of that size.
    """
    if parameters["quality"] is None:
        return pixels
    levels = cv2.convertScaleAbs(pixels, alpha=255)
    # OpenCV's order is BGR; reversing before and after keeps the chroma subsampling on the right channels.
    levels = levels if pixels.shape[2] == 1 else cv2.cvtColor(levels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, parameters["quality"]])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED if pixels.shape[2] == 1 else cv2.IMREAD_COLOR_RGB)
    assert decoded is not None  # OpenCV reads what it wrote
    return decoded.reshape(pixels.shape).astype(np.float32) / 255


def _opacity(radius: float) -> float:
    r = radius / _LARGEST_SPOT
    return float(3 * (14 / 25 + 1 - r) * (1 - np.exp(-(0.5 + r) * 0.3 * r)))


register_degradation("spots", draw=draw_spots, apply=apply_spots)
register_degradation("noise", draw=draw_noise, apply=apply_noise)
register_degradation("jpeg_compression", draw=draw_jpeg_compression, apply=apply_jpeg_compression)
