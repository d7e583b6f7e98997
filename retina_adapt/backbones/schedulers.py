"""diffusers' schedulers that a backbone can be sampled with."""

import inspect

import diffusers
import torch
from diffusers import SchedulerMixin

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean

# A folder from a stranger names classes; only these are ever constructed. Each of them knows the three prediction
# types, starts from any noise level, and ends without noise: a denoiser that knows the clean latent gives it back.
SCHEDULER_CLASSES: dict[str, type[SchedulerMixin]] = {
    name: getattr(diffusers, name)
    for name in (
        "DDIMScheduler",
        "DDPMScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "LCMScheduler",
        "UniPCMultistepScheduler",
    )
}

# With no signal at all, the noise level that most schedulers count in is infinite; diffusers' own bound for it.
LEAST_SIGNAL = 2.0**-24


class UnknownSchedulerError(RetinaAdaptError):
    """No scheduler of this name can be used."""


def require_usable(scheduler: SchedulerMixin) -> None:
    """Refuse a scheduler that a backbone cannot be sampled with.

    Raises:
        UnknownSchedulerError: its class is not in `SCHEDULER_CLASSES`.
    """
    if type(scheduler).__name__ not in SCHEDULER_CLASSES:
        raise UnknownSchedulerError(_why_unknown(type(scheduler).__name__))


def scheduler_like(trained: SchedulerMixin, name: str | None) -> SchedulerMixin:
    """A fresh scheduler over the noise schedule of `trained`: of its own class, or of the class called `name`.

    Raises:
        UnknownSchedulerError: the name is not in `SCHEDULER_CLASSES`; says whether diffusers has such a scheduler, and
            suggests the nearest.
    """
    if name is None or name == type(trained).__name__:
        return type(trained).from_config(trained.config)
    if name not in SCHEDULER_CLASSES:
        raise UnknownSchedulerError(_why_unknown(name))
    # The betas themselves rather than how they came about: not every class can rescale them to no terminal signal,
    # and one that cannot would ignore the setting and sample from other noise levels than those trained on.
    options = {
        "trained_betas": _betas(trained),
        "rescale_betas_zero_snr": False,
        # A solver of second order needs a last step of first order to end without noise.
        "lower_order_final": True,
        # Of consistency models: their steps are chosen among this many.
        "original_inference_steps": trained.config.num_train_timesteps,
    }
    scheduler_class = SCHEDULER_CLASSES[name]
    known = inspect.signature(scheduler_class).parameters
    return scheduler_class.from_config(trained.config, **{key: options[key] for key in options if key in known})


def _betas(trained: SchedulerMixin) -> list[float]:
    signal = trained.alphas_cumprod.double().clamp_min(LEAST_SIGNAL)
    before = torch.cat([torch.ones_like(signal[:1]), signal[:-1]])
    return (1 - signal / before).tolist()


def _why_unknown(name: str) -> str:
    supported = ", ".join(SCHEDULER_CLASSES)
    found = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    if found is not None:
        return (
            f"diffusers' {name} is not supported: a scheduler must know the prediction types epsilon, v_prediction and "
            "sample, start from any noise level, and give a known latent back at the end; "
            f"use one of {supported}"
        )
    hint = did_you_mean(name, SCHEDULER_CLASSES) or f"; known are {supported}"
    return f"no scheduler is named '{name}'{hint}"
