"""Sampling: from a condition latent to a clean latent in a few sampling steps."""

import inspect
from collections.abc import Sequence

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from retina_adapt.backbones.parts import draw_noise, require_seed_of_each_row, seeded_generators
from retina_adapt.backbones.reconstruction_backbone import ReconstructionBackbone
from retina_adapt.backbones.schedulers import scheduler_like
from retina_adapt.errors import RetinaAdaptError


class SamplingStepsError(RetinaAdaptError):
    """Sampling steps or a start that do not fit the noise schedule."""


@torch.no_grad()
def sample_latents(
    backbone: ReconstructionBackbone,
    condition_latents: Tensor,
    *,
    steps: int,
    seeds: Sequence[int],
    start: float = 1.0,
    scheduler: str | None = None,
) -> Tensor:
    """Sample clean latents under a condition.

    Args:
        condition_latents: (batch, latent_channels, h, w), standardised latents.
        steps: sampling steps; few suffice, since the condition already holds the image. A second-order scheduler calls
            the denoiser twice per step.
        seeds: one for each row, for all its noise: a row does not depend on the others.
        start: where in the noise schedule to begin, in (0, 1]: 1 is pure noise; below 1, sampling begins from the
            condition itself with noise of that level added (Meng et al. 2022, "SDEdit"). The steps are as long as those
            of a whole schedule of round(steps / start), so the fewer they are, the coarser is this: two begin at 1,
            0.667, 0.5, ….
        scheduler: name of a diffusers scheduler; the backbone's own by default (DDIM, Song et al. 2021; eta 0).

    Returns:
        Standardised latents of the same shape.

    Raises:
        SamplingStepsError: `start` is not in (0, 1], `steps` is below 1, or `steps / start` exceeds the steps of the
            noise schedule.
        SeedCountError: there are more or fewer seeds than rows.
        UnknownSchedulerError: there is no such scheduler, or it is not supported.
        MissingDenoiserError: the backbone has no denoiser.
    """
    _, trained_scheduler = backbone.require_denoiser()
    require_seed_of_each_row(seeds, condition_latents)
    # A scheduler holds the state of one trajectory, so each call gets its own.
    sampler = scheduler_like(trained_scheduler, scheduler)
    schedule_length = _schedule_length(steps, start, sampler.config.num_train_timesteps)
    sampler.set_timesteps(schedule_length, device=condition_latents.device)
    first = (schedule_length - steps) * sampler.order
    timesteps = sampler.timesteps[first:]
    if hasattr(sampler, "set_begin_index"):
        sampler.set_begin_index(first)
    generators = seeded_generators(seeds)
    latents = draw_noise(generators, tuple(condition_latents.shape[1:]), like=condition_latents)
    if start < 1:
        latents = sampler.add_noise(condition_latents, latents, timesteps[:1].expand(len(latents)))
    else:
        latents = latents * sampler.init_noise_sigma
    takes_generator = "generator" in inspect.signature(sampler.step).parameters
    options = {"generator": generators} if takes_generator else {}
    for timestep in timesteps:
        prediction = backbone.predict(sampler.scale_model_input(latents, timestep), timestep, condition_latents)
        result = sampler.step(prediction, timestep, latents, **options)
        latents = result.prev_sample
    if isinstance(sampler, DDIMScheduler):
        # If the steps do not divide the noise schedule, diffusers' DDIM ends at the lowest noise level instead of at
        # none; otherwise this changes nothing.
        latents = result.pred_original_sample
    return latents.to(condition_latents.dtype)


def require_sampling_steps(backbone: ReconstructionBackbone, steps: int, start: float = 1.0) -> None:
    """Refuse, before training, steps that `sample_latents` would refuse after it.

    Raises:
        SamplingStepsError, MissingDenoiserError: as `sample_latents`.
    """
    _, scheduler = backbone.require_denoiser()
    _schedule_length(steps, start, scheduler.config.num_train_timesteps)


def _schedule_length(steps: int, start: float, training_steps: int) -> int:
    """Number of steps in a whole schedule whose last `steps` begin at `start`."""
    if not 0 < start <= 1:
        raise SamplingStepsError(f"start is {start}; it must lie in (0, 1], where 1 is pure noise")
    length = round(steps / start)
    if not 1 <= steps <= length <= training_steps:
        raise SamplingStepsError(
            f"{steps} sampling steps were asked for; from {start:g} of a noise schedule of {training_steps}, there can "
            f"be 1 to {int(training_steps * start)}"
        )
    return length
