"""The basic loss on images and latents."""

from torch import Tensor


def absolute_error(result: Tensor, target: Tensor) -> Tensor:
    """Mean of |result - target| over all values."""
    return (result - target).abs().mean()
