"""Quality of a photograph by itself, without a clear one of the same eye to compare with.

All is measured at one scale, since sharpness depends on it: `measured_frame` brings the field of view to 512 px. The
measures compare a photograph before and after its enhancement. They reward noise and invented detail as much as real
detail: read them together with the vessel overlay.
"""

from dataclasses import dataclass

import numpy as np

from retina_adapt.evaluation.field import distance_inside, field_diameter, green_channel, smoothed_inside
from retina_adapt.evaluation.frame import require_frame
from retina_adapt.imaging import resize, resize_mask

MEASURED_DIAMETER = 512
"""Diameter in pixels to which a field of view is scaled down; smaller ones stay as they are."""

# Lengths are fractions of the field of view's diameter: the widths of thin and of main vessels lie between the first
# two, illumination varies over the third, and the rim's blur is narrower than the fourth.
FINE_SIGMA, COARSE_SIGMA = 0.002, 0.01
ILLUMINATION_SIGMA = 0.08
RIM_WIDTH = 0.03
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # ITU-R BT.709
_DARKEST, _BRIGHTEST = 2 / 255, 253 / 255


@dataclass(frozen=True)
class Quality:
    """Measures of one photograph inside its field of view, all without a unit.

    Attributes:
        sharpness: root mean square of the green channel's detail at the width of vessels, times 1000. Its rank
            correlation (Spearman) with experts' scores of blur by cataract is -0.91 on 109 training and -0.88 on 13
            validation photographs of CSDI.
        evenness: 1 - the coefficient of variation of the illumination (luminance at a scale of 8 % of the diameter);
            1 is perfectly even light.
        brightness: mean luminance, in [0, 1].
        clipped: share of pixels, in [0, 1], in which a colour is within 2/255 of its highest value or all are within
            2/255 of their lowest.
    """

    sharpness: float
    evenness: float
    brightness: float
    clipped: float


def measured_frame(pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale a photograph and its mask down until the field of view's diameter is at most `MEASURED_DIAMETER`.

    Args:
        pixels: (H, W, C) in [0, 1].
        mask: bool (H, W), True inside the field of view.

    Returns:
        Both, float32 and bool; unchanged if the field of view is small enough already.
    """
    scale = min(1.0, MEASURED_DIAMETER / field_diameter(mask)) if mask.any() else 1.0
    height, width = (max(1, round(scale * side)) for side in mask.shape)
    return resize(pixels, height, width), resize_mask(mask, height, width)


def measure_quality(pixels: np.ndarray, mask: np.ndarray) -> Quality:
    """Measure one photograph.

    Args:
        pixels: float array (H, W, C), RGB (C=3) or grey (C=1), values in [0, 1], from `measured_frame`.
        mask: bool array (H, W), True inside the field of view.

    Raises:
        FrameError: the image or mask has a wrong shape, type or range, or the mask is empty.
    """
    require_frame(pixels, mask, role="photograph")
    pixels = pixels.astype(np.float32)
    diameter = field_diameter(mask)
    green = green_channel(pixels)
    luminance = pixels @ _LUMINANCE if pixels.shape[2] == 3 else green
    inside = _inside(mask, RIM_WIDTH * diameter)
    detail = smoothed_inside(green, mask, FINE_SIGMA * diameter) - smoothed_inside(green, mask, COARSE_SIGMA * diameter)
    illumination = smoothed_inside(luminance, mask, ILLUMINATION_SIGMA * diameter)[inside]
    clipped = (pixels.max(axis=2) >= _BRIGHTEST) | (pixels.max(axis=2) <= _DARKEST)
    return Quality(
        sharpness=1000 * float(np.sqrt(np.mean(detail[inside] ** 2))),
        evenness=1 - float(illumination.std() / max(float(illumination.mean()), 1e-6)),
        brightness=float(luminance[mask].mean()),
        clipped=float(clipped[mask].mean()),
    )


def _inside(mask: np.ndarray, rim: float) -> np.ndarray:
    """The field of view without its rim, or all of it if nothing would be left."""
    without_rim = distance_inside(mask) > rim
    return without_rim if without_rim.any() else mask
