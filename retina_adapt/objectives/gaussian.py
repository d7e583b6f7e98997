"""Gaussian blur of image tensors, differentiable."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from retina_adapt.objectives.precision import in_full_precision


@in_full_precision
def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur (batch, channels, height, width) with a Gaussian of standard deviation `sigma` in pixels.

    Everything beyond the border counts as 0. To average only over what there is, divide by the blur of a weight that is
    1 where there is a value (normalised convolution, Knutsson and Westin 1993).
    """
    reach = round(3 * sigma)
    return windowed_mean(F.pad(images, (reach, reach, reach, reach)), sigma, reach)


def windowed_mean(images: Tensor, sigma: float, reach: int) -> Tensor:
    """Means under a Gaussian window of 2 * reach + 1 pixels a side, wherever it lies wholly within the images.

    Args:
        images: (batch, channels, height, width).

    Returns:
        (batch, channels, height - 2 * reach, width - 2 * reach).
    """
    channels = images.shape[1]
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    window = (window / window.sum()).expand(channels, 1, 1, -1)
    # By default, cuDNN rounds the operands of a convolution to TF32's 10 bits: SSIM's variances, which are differences
    # of two such means, would be nothing but rounding.
    with _without_cudnn():
        rows = F.conv2d(images, window, groups=channels)
        return F.conv2d(rows, window.transpose(2, 3), groups=channels)


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """Leave convolutions to PyTorch's own kernels.

    `torch.backends.cudnn.flags` would also read and write the precision of operands, and refuses to where a user has
    set it as PyTorch advises, by `fp32_precision`.
    """
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before
