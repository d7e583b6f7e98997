"""Losses of the reconstruction phase's autoencoder."""

from torch import Tensor


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), averaged over all latent values (Kingma and Welling 2014, eq. 10)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()


def absolute_error(result: Tensor, target: Tensor) -> Tensor:
    """Mean of |result - target| over all values."""
    return (result - target).abs().mean()
