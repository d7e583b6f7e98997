"""A differentiable structural term: one minus SSIM."""

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW_SIZE = 11
WINDOW_SIGMA = 1.5
LUMINANCE_CONSTANT = 0.01**2
CONTRAST_CONSTANT = 0.03**2


def structural_dissimilarity(result: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - SSIM over pixels and channels, for images in [0, 1] (Wang et al. 2004; window 11, sigma 1.5).

    Args:
        result: (batch, channels, height, width), sides at least 11.
        target: the same shape.
    """
    channels = result.shape[1]
    offsets = torch.arange(WINDOW_SIZE, device=result.device, dtype=result.dtype) - WINDOW_SIZE // 2
    window = torch.exp(-(offsets**2) / (2 * WINDOW_SIGMA**2))
    window = (window / window.sum()).expand(channels, 1, 1, -1)

    def blur(images: Tensor) -> Tensor:
        rows = F.conv2d(images, window, groups=channels)
        return F.conv2d(rows, window.transpose(2, 3), groups=channels)

    mean_result, mean_target = blur(result), blur(target)
    variance_result = blur(result * result) - mean_result**2
    variance_target = blur(target * target) - mean_target**2
    covariance = blur(result * target) - mean_result * mean_target
    luminance = (2 * mean_result * mean_target + LUMINANCE_CONSTANT) / (
        mean_result**2 + mean_target**2 + LUMINANCE_CONSTANT
    )
    contrast_structure = (2 * covariance + CONTRAST_CONSTANT) / (variance_result + variance_target + CONTRAST_CONSTANT)
    return 1 - (luminance * contrast_structure).mean()
