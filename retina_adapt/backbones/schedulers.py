"""The diffusers schedulers that a backbone can be sampled with."""

import inspect

import diffusers
import torch
from diffusers import SchedulerMixin

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean

# Backbone folders, which may come from strangers, name classes; only these are ever constructed. Each supports the
# three prediction types, starts from any noise level, and ends without noise: given a denoiser that knows the clean
# latent, it returns that latent.
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

# Least share of signal, as in diffusers: most schedulers measure noise by a level that is infinite without any signal.
LEAST_SIGNAL = 2.0**-24


class UnknownSchedulerError(RetinaAdaptError):
    """A scheduler that does not exist or is not supported."""


def require_usable(scheduler: SchedulerMixin) -> None:
    """Refuse a scheduler that a backbone cannot be sampled with.

    Raises:
        UnknownSchedulerError: its class is not in `SCHEDULER_CLASSES`.
    """
    if type(scheduler).__name__ not in SCHEDULER_CLASSES:
        raise UnknownSchedulerError(_why_unknown(type(scheduler).__name__))


def scheduler_like(trained: SchedulerMixin, name: str | None) -> SchedulerMixin:
    """A fresh scheduler over the noise schedule of `trained`, of the class called `name` or, by default, its own.

    Raises:
        UnknownSchedulerError: the name is not in `SCHEDULER_CLASSES`; the message says so if diffusers has such a
            scheduler, and otherwise suggests the nearest name.
    """
    if name is None or name == type(trained).__name__:
        return type(trained).from_config(trained.config)
    if name not in SCHEDULER_CLASSES:
        raise UnknownSchedulerError(_why_unknown(name))
    # The betas themselves rather than the settings behind them: a class that cannot rescale them to zero terminal
    # signal would ignore that setting and sample from other noise levels than those trained on.
    options = {
        "trained_betas": _betas(trained),
        "rescale_betas_zero_snr": False,
        # A second-order solver needs a first-order last step to end without noise.
        "lower_order_final": True,
        # For consistency models, which choose their steps among this many.
        "original_inference_steps": trained.config.num_train_timesteps,
    }
    scheduler_class = SCHEDULER_CLASSES[name]
    known = inspect.signature(scheduler_class).parameters
    return scheduler_class.from_config(trained.config, **{key: options[key] for key in options if key in known})


def _betas(trained: SchedulerMixin) -> list[float]:
    # On the CPU, because training leaves them on its device, and Apple's GPUs have no float64.
    signal = trained.alphas_cumprod.cpu().double().clamp_min(LEAST_SIGNAL)
    before = torch.cat([torch.ones_like(signal[:1]), signal[:-1]])
    return (1 - signal / before).tolist()


def _why_unknown(name: str) -> str:
    supported = ", ".join(SCHEDULER_CLASSES)
    found = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    if found is not None:
        return (
            f"diffusers' {name} is not supported: a scheduler must have the prediction types epsilon, v_prediction and "
            "sample, start from any noise level, and end without noise; "
            f"use one of {supported}"
        )
    hint = did_you_mean(name, SCHEDULER_CLASSES) or f"; known are {supported}"
    return f"no scheduler is named '{name}'{hint}"
