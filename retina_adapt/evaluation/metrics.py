"""Full-reference image quality inside the field of view."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from retina_adapt.evaluation.frame import FrameError, require_frame, require_same_shape

PSNR_CEILING = 100.0
WINDOW_SIZE = 11
WINDOW_SIGMA = 1.5
K1, K2 = 0.01, 0.03
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

# Accompanies every table of scores: SSIM figures differ with window and frame.
SCORING_PROTOCOL = {
    "region": "field of view; outside it both images are set to black",
    "psnr": f"dB, peak 1, mean square error over all channels, at most {PSNR_CEILING:g}",
    "ssim": f"Gaussian window {WINDOW_SIZE}, sigma {WINDOW_SIGMA}, K1 {K1}, K2 {K2}, whole windows only",
    "ms_ssim": f"five scales, weights {SCALE_WEIGHTS}, the same window",
    "color_difference": "mean CIEDE2000, sRGB to CIELAB, D65",
    "color_space": "sRGB channels, averaged",
}


@dataclass(frozen=True)
class ImageScores:
    """How near an image is to its target, inside the field of view.

    Attributes:
        psnr: peak signal-to-noise ratio in dB. Identical images score `PSNR_CEILING` (100) instead of
            infinity, which JSON cannot hold; nothing scores more.
        ssim: structural similarity, at most 1.
        ms_ssim: multi-scale structural similarity in [0, 1]; None if no window fits at the coarsest of the five
            scales, as in frames below 176 px a side.
        color_difference: mean CIEDE2000 difference (1 is about just noticeable); None for grey images.
    """

    psnr: float
    ssim: float
    ms_ssim: float | None
    color_difference: float | None


def score_image(result: np.ndarray, target: np.ndarray, mask: np.ndarray) -> ImageScores:
    """Score an enhanced image against the clear image of the same eye.

    Only the field of view counts. SSIM windows near the rim reach across it, so both images are first set to black
    outside the mask: nothing out there can change a score.

    Formulas: SSIM from Wang, Bovik, Sheikh, Simoncelli 2004, as in their code: windows that leave the frame
    are not counted. MS-SSIM from Wang, Simoncelli, Bovik 2003, with negative scales counted as 0. CIEDE2000
    from Sharma, Wu, Dalal 2005. All but the last treat sRGB channels alike and average over them.

    Args:
        result: float array (H, W, C), RGB (C=3) or grey (C=1), values in [0, 1].
        target: the same shape and range.
        mask: bool array (H, W), True inside the field of view.

    Raises:
        FrameError: shapes differ, the mask is empty, values leave [0, 1], or no SSIM window fits.
    """
    _require_comparable(result, target, mask)
    ssim, ms_ssim = _structural_similarity(result, target, mask)
    return ImageScores(
        psnr=_psnr(result[mask], target[mask]),
        ssim=ssim,
        ms_ssim=ms_ssim,
        color_difference=_color_difference(result[mask], target[mask]) if result.shape[2] == 3 else None,
    )


def psnr_and_ssim(result: np.ndarray, target: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Only the first two scores of `score_image`, in a fraction of its time: for validations during training.

    Args:
        result, target, mask: as for `score_image`.

    Raises:
        FrameError: as `score_image`.
    """
    _require_comparable(result, target, mask)
    similarity, _, window_centers = _similarity_at_full_scale(*_in_black(result, target, mask))
    return _psnr(result[mask], target[mask]), float(np.average(similarity, weights=window_centers))


def _require_comparable(result: np.ndarray, target: np.ndarray, mask: np.ndarray) -> None:
    require_same_shape(result, target)
    require_frame(result, mask, role="result")
    require_frame(target, mask, role="target")


def _psnr(result: np.ndarray, target: np.ndarray) -> float:
    mean_square_error = float(np.mean(np.square(result.astype(np.float64) - target)))
    if mean_square_error == 0:
        return PSNR_CEILING
    return min(PSNR_CEILING, -10 * math.log10(mean_square_error))


def _color_difference(result: np.ndarray, target: np.ndarray) -> float:
    return float(np.mean(deltaE_ciede2000(rgb2lab(target), rgb2lab(result)), dtype=np.float64))


def _structural_similarity(result: np.ndarray, target: np.ndarray, mask: np.ndarray) -> tuple[float, float | None]:
    """SSIM and MS-SSIM together: the first of the five scales is the SSIM window at full resolution."""
    result, target, weights = _in_black(result, target, mask)
    similarity, contrast_structure, window_centers = _similarity_at_full_scale(result, target, weights)
    ssim = float(np.average(similarity, weights=window_centers))

    product = 1.0
    for exponent in SCALE_WEIGHTS[:-1]:
        product *= max(0.0, float(np.average(contrast_structure, weights=window_centers))) ** exponent
        result, target, weights = _halve(result), _halve(target), _halve(weights)
        window_centers = _window_centers(weights)
        if not window_centers.any():
            return ssim, None
        similarity, contrast_structure = _similarity_maps(result, target)
    coarsest = max(0.0, float(np.average(similarity, weights=window_centers)))
    return ssim, product * coarsest ** SCALE_WEIGHTS[-1]


def _in_black(result: np.ndarray, target: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both images, black outside the mask, and the mask's weights."""
    # In flat regions variances are differences of near-equal numbers: float32 would show in the fourth digit.
    visible = mask[..., None]
    result, target = (np.where(visible, image, 0).astype(np.float64) for image in (result, target))
    return result, target, mask.astype(np.float64)


def _similarity_at_full_scale(
    result: np.ndarray, target: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The maps of `_similarity_maps`, and the weights of their windows."""
    window_centers = _window_centers(weights)
    if not window_centers.any():
        raise FrameError(
            f"no {WINDOW_SIZE} px SSIM window centred in the field of view fits in the {weights.shape[0]}x"
            f"{weights.shape[1]} frame; score at a larger frame or check the mask"
        )
    return *_similarity_maps(result, target), window_centers


def _similarity_maps(result: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SSIM and its contrast-structure factor, each (H - 10, W - 10), for whole windows only."""
    mean_result, mean_target = _window_mean(result), _window_mean(target)
    product_of_means = mean_result * mean_target
    sum_of_squares = mean_result**2 + mean_target**2
    variances = _window_mean(result**2 + target**2) - sum_of_squares
    covariance = _window_mean(result * target) - product_of_means
    contrast_structure = (2 * covariance + K2**2) / (variances + K2**2)
    similarity = (2 * product_of_means + K1**2) / (sum_of_squares + K1**2) * contrast_structure
    return similarity.mean(axis=2), contrast_structure.mean(axis=2)


def _window_mean(values: np.ndarray) -> np.ndarray:
    kernel = cv2.getGaussianKernel(WINDOW_SIZE, WINDOW_SIGMA)
    blurred = cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel)
    # OpenCV drops a channel axis of length one.
    return _window_centers(blurred.reshape(values.shape))


def _window_centers(values: np.ndarray) -> np.ndarray:
    """The pixels whose whole window lies in the frame."""
    margin = WINDOW_SIZE // 2
    return values[margin:-margin, margin:-margin]


def _halve(values: np.ndarray) -> np.ndarray:
    """Average 2x2 blocks; an odd last row or column is dropped."""
    height, width = values.shape[0] // 2, values.shape[1] // 2
    halved = cv2.resize(values[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return halved.reshape(height, width, *values.shape[2:])
