"""Gaussian blur of image tensors, differentiable."""

import torch
import torch.nn.functional as F
from torch import Tensor

from retina_adapt.objectives.precision import in_full_precision


@in_full_precision
def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur (batch, channels, height, width) with a Gaussian of standard deviation `sigma` in pixels.

    Beyond the border everything counts as 0. Divide by the blur of a weight, 1 where there is a value, for an average
    over what there is alone (normalized convolution, Knutsson and Westin 1993).
    """
    channels, reach = images.shape[1], round(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    window = (window / window.sum()).expand(channels, 1, 1, -1)
    rows = F.conv2d(images, window, padding=(0, reach), groups=channels)
    return F.conv2d(rows, window.transpose(2, 3), padding=(reach, 0), groups=channels)
