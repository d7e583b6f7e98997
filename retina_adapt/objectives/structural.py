"""Differentiable structural terms: one minus SSIM, at one scale or at several."""

import torch
import torch.nn.functional as F
from torch import Tensor

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.objectives.gaussian import windowed_mean
from retina_adapt.objectives.precision import in_full_precision

WINDOW_SIZE = 11
WINDOW_SIGMA = 1.5
LUMINANCE_CONSTANT = 0.01**2
CONTRAST_CONSTANT = 0.03**2


class ImageTooSmallError(RetinaAdaptError):
    """An image that is smaller than the window, at the coarsest scale if there are several."""


@in_full_precision
def structural_dissimilarity(result: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - SSIM over pixels and channels, for images in [0, 1] (Wang et al. 2004; window 11, sigma 1.5).

    Args:
        result: (batch, channels, height, width), sides at least 11.
        target: the same shape.

    Raises:
        ImageTooSmallError: the images are smaller.
    """
    if min(result.shape[-2:]) < WINDOW_SIZE:
        raise ImageTooSmallError(
            f"SSIM's window needs images of at least {WINDOW_SIZE} px a side, not "
            f"{result.shape[-2]} x {result.shape[-1]}; use larger ones"
        )

    def blur(images: Tensor) -> Tensor:
        return windowed_mean(images, WINDOW_SIGMA, WINDOW_SIZE // 2)

    mean_result, mean_target = blur(result), blur(target)
    variance_result = blur(result * result) - mean_result**2
    variance_target = blur(target * target) - mean_target**2
    covariance = blur(result * target) - mean_result * mean_target
    luminance = (2 * mean_result * mean_target + LUMINANCE_CONSTANT) / (
        mean_result**2 + mean_target**2 + LUMINANCE_CONSTANT
    )
    contrast_structure = (2 * covariance + CONTRAST_CONSTANT) / (variance_result + variance_target + CONTRAST_CONSTANT)
    return 1 - (luminance * contrast_structure).mean()


@in_full_precision
def multi_scale_structural_dissimilarity(result: Tensor, target: Tensor, scales: int = 3) -> Tensor:
    """Mean of `structural_dissimilarity` over `scales` resolutions, each half of the one before.

    At a coarse scale, the window sees uneven light and broad vessels, which are nearly constant in it at the fine one.
    This is the mean of the scales, not the product of Wang et al. 2003 ("Multiscale structural similarity"), which
    takes roots of correlations: these may be negative, and the roots have no finite gradient at 0.

    Args:
        result: images (batch, channels, height, width) in [0, 1], sides at least 11 * 2^(scales - 1).
        target: the same shape.
        scales: at least 1; 1 is `structural_dissimilarity`.

    Raises:
        ImageTooSmallError: the images are smaller.
    """
    shortest = WINDOW_SIZE * 2 ** (scales - 1)
    if min(result.shape[-2:]) < shortest:
        raise ImageTooSmallError(
            f"{scales} scales need images of at least {shortest} px a side, not "
            f"{result.shape[-2]} x {result.shape[-1]}; use fewer scales, or larger crops"
        )
    terms = [structural_dissimilarity(result, target)]
    for _ in range(scales - 1):
        result, target = F.avg_pool2d(result, 2), F.avg_pool2d(target, 2)
        terms.append(structural_dissimilarity(result, target))
    return torch.stack(terms).mean()
