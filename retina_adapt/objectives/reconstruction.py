"""The basic loss on images and latents."""

from torch import Tensor

from retina_adapt.objectives.precision import in_full_precision


@in_full_precision
def absolute_error(result: Tensor, target: Tensor) -> Tensor:
    """Mean of |result - target| over all values."""
    return (result - target).abs().mean()
