"""Faults of illumination and colour: halo, hole, uneven illumination, low light, low contrast, colour shift.

Halo, hole and colour shift follow Shen, Fu, Shen and Shao, "Modeling and Enhancing Low-Quality Retinal Fundus
Images" (IEEE Transactions on Medical Imaging, 2020). Severity scales every change linearly, so no pixel comes
closer to the clear photograph as severity grows.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from retina_adapt.degradations.degradation import draw_uniform
from retina_adapt.degradations.frame import (
    change_colors,
    fit_channels,
    for_each_channel,
    mean_color,
    smooth_field,
    soft_disc,
)
from retina_adapt.degradations.record import Parameters
from retina_adapt.degradations.registry import register_degradation

# Shen et al. 2020: the colours of stray light, white or greenish.
_HALO_COLORS = (
    (251 / 255, 249 / 255, 246 / 255),
    (141 / 255, 238 / 255, 238 / 255),
    (177 / 255, 195 / 255, 147 / 255),
)
# Rec. 601, as in the saturation change of Shen et al.'s image library.
_LUMINANCE_WEIGHTS = (0.299, 0.587, 0.114)


def draw_halo(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw a ring of stray light near the rim: centre within 1/8 of the middle, inner diameter 0.75 to 1."""
    inner_radius = draw_uniform(generator, 0.375, 0.5)
    return {
        "center": [draw_uniform(generator, -0.125, 0.125), draw_uniform(generator, -0.125, 0.125)],
        "inner_radius": inner_radius,
        "outer_radius": inner_radius + draw_uniform(generator, 0.08, 0.2),
        "color": list(_HALO_COLORS[int(generator.random() * len(_HALO_COLORS))]),
        "brightness": severity * draw_uniform(generator, 1.2, 1.8),
    }


def apply_halo(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Add a blurred ring: I + |disc_outer - disc_inner| x mean(I) x colour x brightness (Shen et al. 2020)."""
    center_x, center_y = parameters["center"]
    inner, outer = parameters["inner_radius"], parameters["outer_radius"]
    # Blurred about as widely as the ring itself, so that none of its edges shows.
    softness = 0.35 * (outer - inner)
    light = mean_color(pixels, mask).mean() * fit_channels(parameters["color"], pixels) * parameters["brightness"]

    def added(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        distance = np.hypot(x - center_x, y - center_y)
        ring = soft_disc(distance, outer, softness) - soft_disc(distance, inner, softness)
        return ring[..., None] * light

    return pixels + smooth_field(pixels, added)


def draw_hole(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw a dark area: centre x within 1/4 and y within 1/8 of the frame's centre, diameter 0.4 to 0.7."""
    return {
        "center": [draw_uniform(generator, -0.25, 0.25), draw_uniform(generator, -0.125, 0.125)],
        "radius": draw_uniform(generator, 0.2, 0.35),
        "depth": severity * draw_uniform(generator, 0.6, 0.85),
    }


def apply_hole(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Take light away inside a very soft disc: I x (1 - depth x disc).

    Shape after Shen et al. 2020. They subtract a constant where the photograph is bright enough; here missing light is
    a factor, which darkens as much without a colour cast and needs no threshold.
    """
    radius, (center_x, center_y) = parameters["radius"], parameters["center"]

    def remaining(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1 - parameters["depth"] * soft_disc(np.hypot(x - center_x, y - center_y), radius, 0.3 * radius)

    return pixels * for_each_channel(smooth_field(pixels, remaining), pixels)


def draw_uneven_illumination(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw light that falls off from one side to the other and towards the rim; some always remains."""
    return {
        "turn": draw_uniform(generator, 0.0, 1.0),
        "side_loss": severity * draw_uniform(generator, 0.5, 0.65),
        "side_gain": severity * draw_uniform(generator, 0.15, 0.45),
        "rim_loss": severity * draw_uniform(generator, 0.0, 0.2),
    }


def apply_uneven_illumination(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Multiply by a gradual factor: 1 + side_gain at one side, 1 - side_loss at the other, less rim_loss at the rim.

    `turn` is the direction of the brighter side as a fraction of a full turn.
    """
    angle = 2 * math.pi * parameters["turn"]
    loss, gain = parameters["side_loss"], parameters["side_gain"]

    def light(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        along = np.tanh(4 * (x * math.cos(angle) + y * math.sin(angle)))
        side = 0.5 * (gain - loss) + 0.5 * (gain + loss) * along
        rim = parameters["rim_loss"] * np.minimum(4 * (x**2 + y**2), 1.0)
        return 1 + side - rim

    return pixels * for_each_channel(smooth_field(pixels, light), pixels)


def draw_low_light(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw an underexposure; at severity 1 about three tenths of the light remain."""
    return {"brightness": 1 - severity * draw_uniform(generator, 0.6, 0.75)}


def apply_low_light(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Scale the light: I x brightness (the low-light task of general retinal image enhancement uses 0.3)."""
    return pixels * np.float32(parameters["brightness"])


def draw_low_contrast(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw a loss of contrast; at severity 1 about a quarter of it remains."""
    return {"contrast": 1 - severity * draw_uniform(generator, 0.7, 0.8)}


def apply_low_contrast(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Pull pixels towards the mean colour m of the field of view: I + (1 - contrast) x (m - I)."""
    lost = 1 - parameters["contrast"]
    return change_colors(pixels, (1 - lost) * np.eye(pixels.shape[2]), lost * mean_color(pixels, mask))


def draw_color_shift(generator: np.random.Generator, severity: float) -> Parameters:
    """Draw brightness 0.7 to 1.2, contrast and saturation 0.6 to 1.4 (Shen et al. 2020), and white balance."""
    return {
        "brightness": draw_uniform(generator, 0.7, 1.2),
        "contrast": draw_uniform(generator, 0.6, 1.4),
        "saturation": draw_uniform(generator, 0.6, 1.4),
        "white_balance": [draw_uniform(generator, 0.85, 1.15) for _ in range(3)],
        "strength": severity,
    }


def apply_color_shift(pixels: np.ndarray, mask: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Blend by `strength` towards the frame with shifted brightness, contrast, saturation and white balance.

    A grey frame has neither saturation nor white balance: only brightness and contrast change.
    """
    channels = pixels.shape[2]
    # Each change is linear in the colour, so that all of them together are one matrix and one offset.
    matrix = parameters["contrast"] * parameters["brightness"] * np.eye(channels)
    mean = parameters["brightness"] * float(mean_color(pixels, mask).mean())
    offset = np.full(channels, (1 - parameters["contrast"]) * mean)
    if channels == 3:
        saturation = parameters["saturation"]
        saturate = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), _LUMINANCE_WEIGHTS)
        balance = np.diag(parameters["white_balance"])
        matrix, offset = balance @ saturate @ matrix, balance @ saturate @ offset
    strength = parameters["strength"]
    return change_colors(pixels, (1 - strength) * np.eye(channels) + strength * matrix, strength * offset)


register_degradation("halo", draw=draw_halo, apply=apply_halo)
register_degradation("hole", draw=draw_hole, apply=apply_hole)
register_degradation("uneven_illumination", draw=draw_uneven_illumination, apply=apply_uneven_illumination)
register_degradation("low_light", draw=draw_low_light, apply=apply_low_light)
register_degradation("low_contrast", draw=draw_low_contrast, apply=apply_low_contrast)
register_degradation("color_shift", draw=draw_color_shift, apply=apply_color_shift)
