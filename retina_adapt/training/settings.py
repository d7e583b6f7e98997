"""Settings of the training loop, the same for every recipe."""

from dataclasses import dataclass

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean
from retina_adapt.training.schedule import DECAYS

_CHOICES = {
    "mixed_precision": ("no", "bf16"),
    "resume": ("auto", "never", "always"),
    "result": ("last", "best"),
    "learning_rate_decay": DECAYS,
}


# Accelerate seeds numpy's generator too, which takes 32 bits.
LARGEST_SEED = 2**32 - 1


class TrainingSettingsError(RetinaAdaptError):
    """A training setting that is out of range."""


@dataclass
class TrainingSettings:
    """How to train.

    Args:
        steps: optimiser steps.
        batch_size: images per process and micro-batch; an optimiser step sees this many times the number of
            processes times `gradient_accumulation`.
        gradient_accumulation: micro-batches per optimiser step.
        learning_rate: peak learning rate of AdamW.
        warmup_steps: steps over which the learning rate rises linearly; it then falls to zero.
        learning_rate_decay: how it falls, "linear" or "cosine".
        weight_decay: AdamW's decoupled weight decay.
        gradient_clip: largest norm of the gradient.
        seed: seed of the data order, the augmentations, the degradations and the diffusion noise.
        mixed_precision: "no" (quoted in YAML, where a bare no means false) or bf16. Not fp16: autoencoders overflow in
            it, and its changing loss scale is not in the checkpoints.
        workers: processes that prepare batches; 0 prepares them in the training process.
        log_every: steps between entries in the tracker.
        validate_every: steps between validations; the last step is always validated.
        checkpoint_every: steps between checkpoints; there is also one at each validation and at the last step.
        checkpoints_kept: how many of the newest checkpoints to keep; the best one is kept as well.
        best_by: name of the validation score that decides which checkpoint is best, "-name" if lower is better; ""
            takes the first score, where higher is better.
        result: which weights the training ends with: the last ones, or those of the best checkpoint ("last" or
            "best").
        patience: end the training early after this many validations in a row without a gain over the best one before
            them, by the score of `best_by`; 0 trains all steps. The learning rate is then still that of a longer
            training: combine it with the result "best".
        least_improvement: by how much a score must beat the best one to count as a gain; smaller gains add up.
        resume: "auto" continues from the newest checkpoint if there is one; "never" refuses to start if there is one,
            and "always" if there is none.
        moving_average_decay: decay of an exponential moving average of the trained weights, in [0, 1), e.g. 0.999; the
            averaged weights are validated and are the result. Costs the memory of the trained weights once more. 0 is
            off.
        gradient_checkpointing: recompute features in the backward pass instead of keeping them: less memory, more
            time; see docs/results.md, *What a training step costs*.
        dry_run: take two steps, write a checkpoint, validate, say what the full run would take, and nothing else; the
            option --dry-run sets it.
    """

    steps: int = 1000
    batch_size: int = 4
    gradient_accumulation: int = 1
    learning_rate: float = 1e-3
    warmup_steps: int = 5
    learning_rate_decay: str = "linear"
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    seed: int = 0
    mixed_precision: str = "no"
    workers: int = 0
    log_every: int = 10
    validate_every: int = 200
    checkpoint_every: int = 200
    checkpoints_kept: int = 2
    best_by: str = ""
    result: str = "last"
    patience: int = 0
    least_improvement: float = 0.0
    resume: str = "auto"
    moving_average_decay: float = 0.0
    gradient_checkpointing: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        at_least_one = (
            "batch_size",
            "gradient_accumulation",
            "log_every",
            "validate_every",
            "checkpoint_every",
            "checkpoints_kept",
        )
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise TrainingSettingsError(f"{name} is {getattr(self, name)}; it must be at least 1")
        not_negative = ("steps", "warmup_steps", "workers", "weight_decay", "seed", "patience", "least_improvement")
        for name in not_negative:
            if not getattr(self, name) >= 0:
                raise TrainingSettingsError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.seed > LARGEST_SEED:
            raise TrainingSettingsError(f"seed is {self.seed}; it must be at most {LARGEST_SEED}")
        for name in ("learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise TrainingSettingsError(f"{name} is {getattr(self, name)}; it must be positive")
        if not 0 <= self.moving_average_decay < 1:
            raise TrainingSettingsError(
                f"moving_average_decay is {self.moving_average_decay}; it must lie in [0, 1), and 0 is off"
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                value = str(getattr(self, name))
                raise TrainingSettingsError(
                    f"{name} is '{value}'; use {' or '.join(choices)}{did_you_mean(value, choices)}"
                )
