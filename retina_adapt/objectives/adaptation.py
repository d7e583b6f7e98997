"""Losses of the adaptation: the paper's two on latents, and ours on pictures."""

import torch
from torch import Tensor

from retina_adapt.objectives.gaussian import gaussian_blur
from retina_adapt.objectives.precision import in_full_precision
from retina_adapt.objectives.reconstruction import absolute_error

# At 50 dB: an image with a smaller error counts as restored and hardly contributes to the loss.
LEAST_SQUARED_ERROR = 1e-5
# Standard deviation, in pixels, of the Gaussian that divides coarse from fine. In frames of 256 px, vessels are finer.
FRAME_DETAIL_SIGMA = 2.0


def latent_adaptation_loss(high_latent: Tensor, adapted_low_latent: Tensor) -> Tensor:
    """mean |E0(high) - Ea(low)| (Yang et al., the first term of the adaptation loss).

    Args:
        high_latent: the frozen original encoder's latent of the clear image, without gradient.
        adapted_low_latent: the adapted encoder's latent of the degraded image, the same shape.
    """
    return absolute_error(adapted_low_latent, high_latent)


def latent_preservation_loss(high_latent: Tensor, adapted_high_latent: Tensor) -> Tensor:
    """mean |E0(high) - Ea(high)| (Yang et al., the second term): clear images keep their latents."""
    return absolute_error(adapted_high_latent, high_latent)


@in_full_precision
def masked_absolute_error(result: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """mean |result - target| over the field of view, for images (batch, channels, height, width) in [0, 1].

    Not in the paper: on decoded images, it weighs latent errors by what they do to the picture. `mask` is (batch, 1,
    height, width), boolean.
    """
    weights = mask.to(result.dtype).expand_as(result)
    return ((result - target).abs() * weights).sum() / weights.sum().clamp_min(1)


@in_full_precision
def masked_logarithmic_error(result: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean over images of log10(1 + e / 1e-5), where e is the mean squared error over the field of view; at least 0.

    Up to a constant, this is minus a tenth of a PSNR that levels off at 50 dB.

    Its gradient asks the same relative improvement of every image. Means of absolute or squared errors are dominated by
    the few badly degraded images, for whose sake a network then harms those that are hardly degraded. PSNR itself is a
    common loss in image restoration (cf. Chen et al. 2022, NAFNet).

    Args:
        result, target: images (batch, channels, height, width) in [0, 1].
        mask: (batch, 1, height, width), boolean.
    """
    weights = mask.to(result.dtype).expand_as(result)
    squared = ((result - target) ** 2 * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3)).clamp_min(1)
    return torch.log10(1 + squared / LEAST_SQUARED_ERROR).mean()


@in_full_precision
def masked_detail_error(result: Tensor, target: Tensor, mask: Tensor, *, sigma: float = FRAME_DETAIL_SIGMA) -> Tensor:
    """Mean absolute error over the field of view in what is finer than a Gaussian of `sigma` pixels.

    Errors in light and colour are ten times as large as those in fine vessels, so the other terms do not notice that a
    vessel is missing. The Gaussian averages over the field of view alone (normalised convolution).

    Args:
        result, target: images (batch, channels, height, width) in [0, 1].
        mask: (batch, 1, height, width), boolean.
        sigma: standard deviation; in a copy n times as large as a frame, a sigma n times as large sees the same
            vessels.
    """
    weights = mask.to(result.dtype)
    difference = (result - target) * weights
    inside = gaussian_blur(weights, sigma).clamp_min(1e-3)
    coarse = gaussian_blur(difference, sigma) / inside
    return ((difference - coarse).abs() * weights).sum() / weights.expand_as(difference).sum().clamp_min(1)
