"""Faults of the optical path: Gaussian blur, defocus, and the haze of a cataract.

The camera's aperture stays sharp however blurred the retina is, so every blur here averages over the field of
view alone (normalised convolution, Knutsson and Westin 1993) and draws no black rim inward.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from retina_adapt.degradations.degradation import draw_uniform
from retina_adapt.degradations.frame import fit_channels, for_each_channel, mean_color, shorter_side, smooth_field
from retina_adapt.degradations.record import Parameters
from retina_adapt.degradations.registry import register_degradation

# From these widths (pixels) on, a blurred frame holds so little detail that a smaller one will do: on photographs it
# stays within a tenth of an 8-bit grey level of the direct filter on average, within 2.5 at the sharpest edge.
_SIGMA_WORTH_SHRINKING = 4.0
_LARGEST_DISC = 5.0


def draw_gaussian_blur(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw a standard deviation of up to 0.0137 shorter sides (7 pixels of 512)."""
    return {"sigma": severity * draw_uniform(generator, 0.0117, 0.0137)}


def apply_gaussian_blur(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Blur with a Gaussian of standard deviation `sigma`, in shorter sides."""
    return blur_within(pixels, mask, parameters["sigma"] * shorter_side(pixels))


def draw_defocus(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw a blur disc as wide as `draw_gaussian_blur`: a disc's radius is twice its standard deviation."""
    return {"radius": severity * draw_uniform(generator, 0.0234, 0.0274)}


def apply_defocus(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Average over a disc of `radius` shorter sides: the geometric image of a point out of focus."""
    radius = parameters["radius"] * shorter_side(pixels)
    return pixels if radius == 0 else _average_within(pixels, mask, lambda planes: _disc_average(planes, radius))


def draw_cataract_haze(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw the veil that a clouded lens lays over the retina: its density, unevenness, colour, and blur.

    Chosen beside photographs of CSDI (Xie et al. 2025) with cataract scores 6 to 9: veils from greyish brown
    to yellow green, often glowing on one side, and as little fine detail as theirs at severity 0.4 to 0.7.
    """
    return {
        "density": severity * draw_uniform(generator, 0.8, 1.25),
        "turn": draw_uniform(generator, 0.0, 1.0),
        "side_unevenness": draw_uniform(generator, 0.1, 0.8),
        "rim_unevenness": draw_uniform(generator, 0.0, 0.4),
        "glow": draw_uniform(generator, 0.0, 0.6),
        "veil_brightness": draw_uniform(generator, 1.4, 1.9),
        "veil_color": [1.0, draw_uniform(generator, 0.85, 1.08), draw_uniform(generator, 0.4, 0.75)],
        "sigma": severity * draw_uniform(generator, 0.003, 0.006),
    }


def apply_cataract_haze(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Scatter light in front of the retina: T x blur(I) + (1 - T) x veil, where T = exp(-density x unevenness).

    The atmospheric form of haze, as in FD3. The blur, and scattered light that grows away from a centre, follow the
    simulation of Li et al. 2022 (ArcNet, SCRNet). The veil is lit by the same flash as the retina, so its brightness
    is relative to the photograph's own mean; `turn` is the direction of the denser side as a fraction of a full turn.
    """
    blurred = blur_within(pixels, mask, parameters["sigma"] * shorter_side(pixels))
    angle = 2 * math.pi * parameters["turn"]
    retina_brightness = mean_color(pixels, mask).mean()
    veil = retina_brightness * parameters["veil_brightness"] * fit_channels(parameters["veil_color"], pixels)

    def transmission_and_veil(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        along = np.tanh(3 * (x * math.cos(angle) + y * math.sin(angle)))
        rim = np.minimum(4 * (x**2 + y**2), 1.0)
        unevenness = 1 + parameters["side_unevenness"] * along + parameters["rim_unevenness"] * (rim - 0.5)
        transmission = np.exp(-parameters["density"] * np.maximum(unevenness, 0.0))[..., None]
        scattered = (1 - transmission) * veil * (1 + parameters["glow"] * along)[..., None]
        return np.concatenate([transmission, scattered], axis=2)

    fields = smooth_field(pixels, transmission_and_veil)
    hazy = blurred * for_each_channel(cv2.extractChannel(fields, 0), pixels)
    hazy += fields[..., 1:]
    return hazy


def blur_within(pixels: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur that averages over the field of view alone.

    Args:
        pixels: float32 (H, W, C).
        mask: bool (H, W).
        sigma: standard deviation in pixels; 0 returns `pixels`.

    Returns:
        (H, W, C); values outside the mask are meaningless.
    """
    if sigma == 0:
        return pixels
    return _average_within(pixels, mask, lambda planes: _gaussian(planes, sigma))


def _average_within(pixels: np.ndarray, mask: np.ndarray, average: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    # The mask is the last plane: its average is the weight of the others.
    planes = cv2.merge([*cv2.split(pixels), np.ones(mask.shape, dtype=np.float32)])
    *colors, weight = cv2.split(average(cv2.copyTo(planes, mask.view(np.uint8))))
    np.maximum(weight, 1e-6, out=weight)
    averages: list[np.ndarray] = [color / weight for color in colors]
    return cv2.merge(averages).reshape(pixels.shape)


def _gaussian(planes: np.ndarray, sigma: float) -> np.ndarray:
    if sigma < _SIGMA_WORTH_SHRINKING:
        return cv2.GaussianBlur(planes, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    factor = max(2, int(sigma / 4))
    # Shrinking by area and growing linearly blur too: variances factor^2 / 12 and factor^2 / 6.
    small_sigma = math.sqrt((sigma / factor) ** 2 - 1 / 12 - 1 / 6)
    return _on_small_frame(
        planes, factor, lambda small: cv2.GaussianBlur(small, (0, 0), small_sigma, borderType=cv2.BORDER_CONSTANT)
    )


def _disc_average(planes: np.ndarray, radius: float) -> np.ndarray:
    factor = math.ceil(radius / _LARGEST_DISC)
    if factor == 1:
        return cv2.filter2D(planes, -1, _disc(radius), borderType=cv2.BORDER_CONSTANT)
    # As above; a disc's variance along one axis is radius^2 / 4.
    small_disc = _disc(math.sqrt((radius / factor) ** 2 - 4 * (1 / 12 + 1 / 6)))
    return _on_small_frame(
        planes, factor, lambda small: cv2.filter2D(small, -1, small_disc, borderType=cv2.BORDER_CONSTANT)
    )


def _disc(radius: float) -> np.ndarray:
    reach = math.ceil(radius)
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    # Fractional coverage at the edge lets the disc grow smoothly with severity and look alike at any size.
    disc = np.clip(radius + 0.5 - np.hypot(offsets[None, :], offsets[:, None]), 0.0, 1.0)
    return disc / disc.sum()


def _on_small_frame(planes: np.ndarray, factor: int, average: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    height, width = planes.shape[:2]
    # Whole blocks, and one more on each side: growing back would otherwise repeat the outermost block's mean.
    bottom, right = factor + -height % factor, factor + -width % factor
    padded = cv2.copyMakeBorder(planes, factor, bottom, factor, right, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    small_size = padded.shape[1] // factor, padded.shape[0] // factor
    small = average(cv2.resize(padded, small_size, interpolation=cv2.INTER_AREA))
    grown = cv2.resize(small, padded.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return grown[factor : factor + height, factor : factor + width]


register_degradation("gaussian_blur", draw=draw_gaussian_blur, apply=apply_gaussian_blur)
register_degradation("defocus", draw=draw_defocus, apply=apply_defocus)
register_degradation("cataract_haze", draw=draw_cataract_haze, apply=apply_cataract_haze)
