"""Are the vessels of the clear image still there, and are there any that it does not have?

A classical line filter finds vessels in both images. It has no learned weights and is the same for every method. It is
no segmentation network: use it to compare images of one eye, not to measure vessels.

Its thresholds were chosen on the training photographs (24 of HRF, 12 of CHASE_DB1), cropped to the field of view. There
its mean Dice against the observers' masks is 0.68, both at 256 px and at 512 px; on the 10 validation photographs it is
0.66 and 0.67. Before it had hysteresis, it reached 0.62 with one threshold on 12 of the training photographs at 512 px,
where scikit-image's `sato` reached 0.59 and `frangi` 0.58.

Known limits: below about 200 px the finer vessels are thinner than a pixel; at 256 px, pixel noise of
deviation 0.02 makes a quarter of the vessels found look invented (none at 512 px); a blur that hides thin
vessels loses most of them, even if a reader still sees the wide ones.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.filters import apply_hysteresis_threshold
from skimage.morphology import remove_small_objects

from retina_adapt.evaluation.field import distance_inside, field_diameter, green_channel, smoothed_inside
from retina_adapt.evaluation.frame import require_frame, require_same_shape

# Lengths are fractions of the field of view's diameter, so that one eye gives one map at any frame size.
BACKGROUND_SIGMA = 0.04
LINE_SIGMAS = (0.0025, 0.004)
RIM_WIDTH = 0.015
SMALLEST_VESSEL_SIDE = 0.02
MATCH_DISTANCE = 0.004

LINE_ELONGATION = 3
LINE_ORIENTATIONS = 12
# Responses are in local standard deviations of the green channel.
CERTAIN_RESPONSE, POSSIBLE_RESPONSE = 0.35, 0.21
# Share of the whole field's contrast added to a region's own, lest noise in a flat region look like vessels.
FLAT_SHARE = 0.5


@dataclass(frozen=True)
class VesselAgreement:
    """How the vessels found in a result match those found in its target.

    Shares are fractions of area in [0, 1].

    Attributes:
        kept: share of the target's vessels that the result shows in the same place; 1 if the target has none.
        lost: the rest of the target's vessels, 1 - kept.
        invented: share of the result's vessels where the target has none; 0 if the result has none.
        contrast: how much darker than their surroundings the target's vessels are in the result, divided by how much
            darker they are in the target (green channel); below 1 they are paler, 1 if the target has none.
    """

    kept: float
    lost: float
    invented: float
    contrast: float


def vessel_agreement(result: np.ndarray, target: np.ndarray, mask: np.ndarray) -> VesselAgreement:
    """Compare the vessels of an enhanced image with those of the clear image of the same eye.

    A vessel pixel is matched if the other image has one within 0.4 % of the field of view's diameter, but at least
    1 px: a vessel drawn slightly wider is neither lost nor invented.

    Args:
        result: float array (H, W, C), RGB (C=3) or grey (C=1), values in [0, 1].
        target: the same shape and range.
        mask: bool array (H, W), True inside the field of view.

    Raises:
        FrameError: shapes differ, the mask is empty, or values leave [0, 1].
    """
    require_same_shape(result, target)
    result_vessels, target_vessels = vessel_map(result, mask), vessel_map(target, mask)
    tolerance = match_tolerance(mask)
    lost = _unmatched(target_vessels, result_vessels, tolerance)
    contrasts = [_vessel_contrast(pixels, target_vessels, mask) for pixels in (result, target)]
    return VesselAgreement(
        kept=1 - lost,
        lost=lost,
        invented=_unmatched(result_vessels, target_vessels, tolerance),
        contrast=contrasts[0] / contrasts[1] if contrasts[1] > 0 else 1.0,
    )


def vessel_map(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Find vessels: dark lines in the green channel, in which blood absorbs most.

    The channel is brought to zero mean and about unit deviation in a sliding window inside the field of view, so that
    changing only the brightness or contrast of the whole image changes nothing; filtered with elongated second
    derivatives of a Gaussian in 12 directions and two widths (a matched filter, after Chaudhuri et al. 1989); and
    thresholded with hysteresis.

    Args:
        pixels: float array (H, W, C), RGB (C=3) or grey (C=1), values in [0, 1].
        mask: bool array (H, W), True inside the field of view.

    Returns:
        bool array (H, W), True on vessels; False outside the field of view and along its rim.

    Raises:
        FrameError: an image or mask of the wrong shape, type or range.
    """
    return vessels_of_response(vessel_response(pixels, mask), mask)


def vessel_response(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How much each pixel looks like part of a vessel: what `vessel_map` thresholds.

    Args:
        pixels, mask: as for `vessel_map`.

    Returns:
        float32 (H, W) in local standard deviations of the green channel; 0 outside the field of view and along its
        rim, positive on dark lines.

    Raises:
        FrameError: an image or mask of the wrong shape, type or range.
    """
    require_frame(pixels, mask, role="image")
    diameter = field_diameter(mask)
    green = green_channel(pixels).astype(np.float32)
    # The rim is itself a strong edge: a vessel cannot be told from it there, and its contrast dwarfs the vessels'.
    inside = distance_inside(mask) > max(2, round(RIM_WIDTH * diameter))
    if not inside.any():
        return np.zeros(mask.shape, dtype=np.float32)
    normalized = _normalize_locally(green, mask, inside, sigma=BACKGROUND_SIGMA * diameter)
    response = np.full(mask.shape, -np.inf, dtype=np.float32)
    for sigma in LINE_SIGMAS:
        for kernel in _line_kernels(sigma * diameter):
            # One at a time: all of them together would be 24 images.
            np.maximum(response, cv2.filter2D(normalized, cv2.CV_32F, kernel), out=response)
    response[~inside] = 0
    return response


def vessels_of_response(response: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Threshold a `vessel_response` (H, W) by hysteresis: bool (H, W), True on vessels, without specks."""
    vessels = apply_hysteresis_threshold(response, POSSIBLE_RESPONSE, CERTAIN_RESPONSE)
    return remove_small_objects(vessels, max_size=round((SMALLEST_VESSEL_SIDE * field_diameter(mask)) ** 2))


def match_tolerance(mask: np.ndarray) -> int:
    """How far in pixels a vessel may lie from its match: 0.4 % of the field of view's diameter, at least 1."""
    return max(1, round(MATCH_DISTANCE * field_diameter(mask)))


def _vessel_contrast(pixels: np.ndarray, vessels: np.ndarray, mask: np.ndarray) -> float:
    """How much brighter the tissue around the vessels is, on average over them; 0 without vessels."""
    if not vessels.any():
        return 0.0
    green = green_channel(pixels).astype(np.float32)
    background = smoothed_inside(green, mask & ~vessels, BACKGROUND_SIGMA * field_diameter(mask))
    return float(np.mean((background - green)[vessels]))


def _normalize_locally(channel: np.ndarray, mask: np.ndarray, inside: np.ndarray, *, sigma: float) -> np.ndarray:
    """Bring to zero mean and about unit deviation in a Gaussian window over the field of view only; 0 outside it."""
    difference = (channel - smoothed_inside(channel, mask, sigma)) * mask
    deviation = np.sqrt(smoothed_inside(difference**2, mask, sigma))
    overall = float(np.sqrt(np.mean(difference[inside] ** 2)))
    return difference / (deviation + FLAT_SHARE * overall + np.finfo(np.float32).eps)


def _line_kernels(sigma: float) -> list[np.ndarray]:
    """Zero-mean kernels that respond to dark lines of width 2 sigma pixels, one for each direction."""
    length_sigma = LINE_ELONGATION * sigma
    radius = math.ceil(2.5 * length_sigma)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    kernels = []
    for angle in np.arange(LINE_ORIENTATIONS) * (math.pi / LINE_ORIENTATIONS):
        across = x * math.cos(angle) + y * math.sin(angle)
        along = y * math.cos(angle) - x * math.sin(angle)
        kernel = (across**2 / sigma**2 - 1) * np.exp(-(across**2) / (2 * sigma**2))
        kernel *= np.exp(-(along**2) / (2 * length_sigma**2))
        kernel -= kernel.mean()
        kernels.append(kernel / np.abs(kernel).sum())
    return kernels


def _unmatched(vessels: np.ndarray, others: np.ndarray, tolerance: int) -> float:
    """Share of `vessels` with none of `others` within `tolerance` pixels."""
    if not vessels.any():
        return 0.0
    if not others.any():
        return 1.0
    distance = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.mean(distance[vessels] > tolerance))
