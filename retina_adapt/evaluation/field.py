"""Lengths, distances and means within the field of view, which several measures share."""

import math

import cv2
import numpy as np


def field_diameter(mask: np.ndarray) -> float:
    """Diameter in pixels of the disc with the field of view's area; `mask` is bool (H, W)."""
    return 2 * math.sqrt(mask.sum() / math.pi)


def distance_inside(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels, float32 (H, W), to the nearest pixel outside the field of view or beyond the frame."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]


def smoothed_inside(channel: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean of a float32 (H, W) channel over the pixels of `mask` alone, so that no black surround bleeds in.

    Normalised convolution: Knutsson and Westin 1993.

    Args:
        sigma: in pixels.
    """
    weight = mask.astype(np.float32)
    share = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
    return cv2.GaussianBlur(channel * weight, (0, 0), sigma) / share


def green_channel(pixels: np.ndarray) -> np.ndarray:
    """The channel (H, W) in which vessels stand out most: green of RGB, or the only one."""
    return pixels[..., 1 if pixels.shape[2] == 3 else 0]
