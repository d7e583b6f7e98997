"""Contrast-limited adaptive histogram equalization: the classical method an adaptor has to beat."""

import warnings

import cv2
import numpy as np
from skimage.color import lab2rgb, rgb2lab

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.evaluation.frame import require_frame


class ClaheOptionError(RetinaAdaptError):
    """A clip limit or a number of tiles that CLAHE cannot work with."""


def apply_clahe(pixels: np.ndarray, mask: np.ndarray, *, clip_limit: float = 2.0, tiles: int = 8) -> np.ndarray:
    """Equalize the lightness of an image tile by tile; hue and chroma stay.

    CLAHE (Zuiderveld 1994, OpenCV's implementation) on the L channel of CIELAB with 256 bins. OpenCV's 16-bit mode
    spreads a tile's few thousand pixels over 65536 bins, where the clip limit no longer limits anything. So lightness
    is equalized at 8 bits, and what rounding to 8 bits took away is added back.

    Args:
        pixels: float array (H, W, C), RGB (C=3) or grey (C=1), values in [0, 1].
        mask: bool array (H, W); pixels outside it come back unchanged.
        clip_limit: highest histogram bin, in multiples of the mean bin; larger means stronger contrast.
        tiles: number of tiles along each side of the frame.

    Returns:
        float32 array (H, W, C), values in [0, 1].

    Raises:
        FrameError: an image or mask of the wrong shape, type or range.
        ClaheOptionError: a clip limit or number of tiles that is not positive.
    """
    require_frame(pixels, mask, role="image")
    if clip_limit <= 0 or tiles < 1:
        raise ClaheOptionError(f"CLAHE needs a positive clip limit and at least one tile, not {clip_limit} and {tiles}")
    pixels = pixels.astype(np.float32)
    rgb = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
    # scikit-image's conversions, because OpenCV's look floats up in a table that is hardly finer than 8 bits.
    lab = rgb2lab(rgb)
    lightness = np.clip(lab[..., 0] * (255 / 100), 0, 255)
    rounded = np.rint(lightness)
    equalizer = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(tiles, tiles))
    equalized = equalizer.apply(rounded.astype(np.uint8)) + (lightness - rounded)
    lab[..., 0] = equalized * (100 / 255)
    with warnings.catch_warnings():
        # A darkened saturated colour can leave the sRGB gamut; it is clipped, which needs no warning.
        warnings.filterwarnings("ignore", message=".*negative Z values", category=UserWarning)
        equalized_rgb = np.clip(lab2rgb(lab), 0, 1)
    return np.where(mask[..., None], equalized_rgb[..., : pixels.shape[2]], pixels)
