"""From a condition latent to a clean latent with a few denoiser steps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from retina_adapt.backbones.reconstruction_backbone import ReconstructionBackbone


def seeded_noise(seeds: Sequence[int], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Standard normal noise (len(seeds), *shape), row i a function of seeds[i] alone.

    Drawn on the CPU, so that an image gets the same noise on any device, in any batch and on any rank.
    """
    rows = [torch.randn(shape, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
    return torch.stack(rows).to(like)


@torch.no_grad()
def sample_latents(
    backbone: ReconstructionBackbone,
    condition_latents: Tensor,
    *,
    steps: int,
    seeds: Sequence[int],
    start: float = 1.0,
) -> Tensor:
    """Denoise under the condition, with the backbone's scheduler (DDIM, Song et al. 2021; eta 0).

    Args:
        condition_latents: (batch, latent_channels, h, w), scaled latents.
        steps: denoiser calls; few suffice, since the condition already holds the image.
        seeds: one for each row.
        start: where in the noise schedule to begin, in (0, 1]: 1 is pure noise; below 1, sampling begins at the
            condition itself with that level's noise added (Meng et al. 2022, "SDEdit").

    Returns:
        Scaled latents of the same shape.
    """
    # A scheduler keeps the state of one trajectory, so that each call gets its own.
    scheduler = type(backbone.scheduler).from_config(backbone.scheduler.config)
    schedule_length = round(steps / start)
    scheduler.set_timesteps(schedule_length, device=condition_latents.device)
    timesteps = scheduler.timesteps[schedule_length - steps :]
    latents = seeded_noise(seeds, tuple(condition_latents.shape[1:]), like=condition_latents)
    if start < 1:
        latents = scheduler.add_noise(condition_latents, latents, timesteps[:1])
    else:
        latents = latents * scheduler.init_noise_sigma
    for timestep in timesteps:
        prediction = backbone.predict(scheduler.scale_model_input(latents, timestep), timestep, condition_latents)
        latents = scheduler.step(prediction, timestep, latents).prev_sample
    return latents
