"""The diffusion loss, for the three things a denoiser may predict."""

import torch
from torch import Tensor

from retina_adapt.errors import RetinaAdaptError


class PredictionTypeError(RetinaAdaptError):
    """A prediction type that is not epsilon, v_prediction or sample."""


def diffusion_target(
    clean_latent: Tensor, noise: Tensor, alphas_cumprod: Tensor, timesteps: Tensor, prediction_type: str
) -> Tensor:
    """What the denoiser shall predict at the given timesteps, shaped as the latent.

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
    raise PredictionTypeError(
        f"the scheduler's prediction_type is '{prediction_type}'; use epsilon, v_prediction or sample"
    )


def diffusion_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over all values (Ho et al. 2020, eq. 14, for the chosen target)."""
    return torch.nn.functional.mse_loss(prediction, target)
