"""The diffusion loss for the three things a denoiser may predict, and the weights of its noise levels."""

import torch
from torch import Tensor

from retina_adapt.errors import RetinaAdaptError


class PredictionTypeError(RetinaAdaptError):
    """A prediction type that is not epsilon, v_prediction or sample."""


def diffusion_target(
    clean_latent: Tensor, noise: Tensor, alphas_cumprod: Tensor, timesteps: Tensor, prediction_type: str
) -> Tensor:
    """What the denoiser should predict at the given timesteps, in the shape of the latent.

    With alpha = sqrt(alphas_cumprod[t]) and sigma = sqrt(1 - alphas_cumprod[t]): the noise (`epsilon`, Ho et al.
    2020), alpha * noise - sigma * latent (`v_prediction`, Salimans and Ho 2022), or the latent (`sample`).

    Args:
        clean_latent: (batch, channels, height, width).
        noise: the same shape, standard normal.
        alphas_cumprod: (training_steps,), as diffusers' schedulers hold it.
        timesteps: (batch,), integers.

    Raises:
        PredictionTypeError: for another prediction type.
    """
    if prediction_type == "epsilon":
        return noise
    if prediction_type == "sample":
        return clean_latent
    if prediction_type == "v_prediction":
        level = alphas_cumprod.to(clean_latent)[timesteps].view(-1, 1, 1, 1)
        return level.sqrt() * noise - (1 - level).sqrt() * clean_latent
    raise _unknown(prediction_type)


def min_snr_weight(alphas_cumprod: Tensor, timesteps: Tensor, prediction_type: str, gamma: float) -> Tensor:
    """The weight of each row's squared error, (batch,), so that low noise levels do not outweigh the others.

    With snr = a / (1 - a), a = alphas_cumprod[t], an error of the denoised latent weighs min(snr, gamma) (Hang et al.
    2023, "Efficient diffusion training via min-SNR weighting strategy"). As an error of the noise (`epsilon`), that is
    min(snr, gamma) / snr.

    For `sample` and `v_prediction`, an error of the denoised latent weighs at least 1, which is Salimans and Ho's
    truncated SNR (2022, section 4): max(1, min(snr, gamma)), divided by snr + 1 as an error of the velocity. With
    min(snr, gamma) alone, a schedule that ends in pure noise (snr = 0) would never train its last level, where sampling
    starts. The three types therefore weigh alike where snr is at least 1.

    Args:
        alphas_cumprod: (training_steps,), in [0, 1], as diffusers' schedulers hold it.
        timesteps: (batch,), integers.
        gamma: at least 1; the paper's choice is 5.

    Raises:
        PredictionTypeError: for another prediction type.
    """
    level = alphas_cumprod.to(timesteps.device)[timesteps]
    snr = level / (1 - level)
    if prediction_type == "epsilon":
        return (gamma / snr).clamp_max(1)
    if prediction_type == "sample":
        return snr.clamp(1, gamma)
    if prediction_type == "v_prediction":
        return snr.clamp(1, gamma) / (snr + 1)
    raise _unknown(prediction_type)


def diffusion_loss(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared error over all values (Ho et al. 2020, eq. 14, for the chosen target).

    Args:
        prediction: (batch, channels, height, width).
        target: the same shape.
        weights: (batch,), factors on the rows' errors, e.g. from `min_snr_weight`; they are not normalised to a mean of
            1. None means 1 for all.
    """
    if weights is None:
        return torch.nn.functional.mse_loss(prediction, target)
    return (weights * (prediction - target).square().flatten(1).mean(dim=1)).mean()


def _unknown(prediction_type: str) -> PredictionTypeError:
    return PredictionTypeError(
        f"the scheduler's prediction_type is '{prediction_type}'; use epsilon, v_prediction or sample"
    )
