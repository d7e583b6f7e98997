"""The one training loop. It knows batches, losses and steps; what is being trained is the recipe's business."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device, tqdm
from torch import Tensor, nn

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.training.checkpoint import TrainingState, list_checkpoints, load_checkpoint, save_checkpoint
from retina_adapt.training.divergence import CALM_FACTOR, DIVERGED_FACTOR, TrainingDivergedError
from retina_adapt.training.moving_average import MovingAverage
from retina_adapt.training.schedule import learning_rate_factor
from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.tracking import Validation, log_validation

Batch = dict[str, Tensor]


class NothingToTrainError(RetinaAdaptError):
    """No parameter of the training step requires a gradient."""


class UnusedParameterError(RetinaAdaptError):
    """A parameter is to be trained, but the loss does not depend on it."""


def train(
    training_step: nn.Module,
    *,
    name: str,
    accelerator: Accelerator,
    settings: TrainingSettings,
    batches_from: Callable[[int], Iterable[Batch]],
    validate: Callable[[], Validation],
    output_folder: str | Path,
    inspect_optimizer: Callable[[torch.optim.Optimizer], None] = lambda optimizer: None,
    watched_loss: str = "loss",
) -> Validation:
    """Train the parameters of `training_step` that require gradients; resume from the newest checkpoint, if any.

    With a moving average, the averaged parameters are validated, and they are the module's in the end.

    Args:
        training_step: its `forward(batch)` makes all network calls of one step (data-parallel training sees only
            what runs through `forward`) and returns the losses by name, "loss" being the one to minimise. To the
            batch the loop adds "step", an int64 scalar: how many optimiser steps are done.
        name: of this training: its checkpoints' folder and the prefix of its tracker tags.
        batches_from: gives the micro-batches from the given micro-batch on; the same ones, whenever it is asked.
        validate: called on every process.
        inspect_optimizer: called once before the first step; raises if the optimizer holds what it must not.
        watched_loss: the loss whose rise ends the run; see `DivergenceWatch`. Name another than "loss" where that one
            is expected to rise, as with an adversarial term. While the watched loss is above 3 times its lowest value
            no checkpoint is taken but the last step's, so that one from before the rise remains.

    Returns:
        The validation after the last step.

    Raises:
        TrainingDivergedError: on all processes; names the step, and the checkpoint to go on from.
        NothingToTrainError: if no parameter requires a gradient.
        UnusedParameterError: after the first step, if a parameter that requires a gradient got none.
        CheckpointError: see `load_checkpoint`.
    """
    checkpoints = Path(output_folder) / "checkpoints" / name
    trainable = {key: parameter for key, parameter in training_step.named_parameters() if parameter.requires_grad}
    if not trainable:
        raise NothingToTrainError(f"{name}: no parameter requires a gradient; check which hook groups are chosen")
    optimizer = torch.optim.AdamW(trainable.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    inspect_optimizer(optimizer)
    prepared_step, prepared_optimizer = accelerator.prepare(training_step, optimizer)
    # These settings hold, whatever the accelerator was made with and wherever an earlier training of it was stopped.
    accelerator.gradient_accumulation_steps = settings.gradient_accumulation
    accelerator.step = 0
    # Only now the parameters are on their device, and the same on all processes.
    average = MovingAverage(trainable, settings.moving_average_decay) if settings.moving_average_decay else None
    state = TrainingState(trainable, optimizer, average)
    if found := list_checkpoints(checkpoints):
        load_checkpoint(found[-1], state)
        accelerator.print(f"{name}: resuming after step {state.step} from {found[-1]}")

    first_step = state.step
    batches = iter(batches_from(first_step * settings.gradient_accumulation))
    progress = tqdm(
        main_process_only=True,
        initial=first_step,
        total=settings.steps,
        desc=name,
        dynamic_ncols=True,
        mininterval=1,
    )
    validation = None
    checkpoint_due = False
    seconds_started, steps_timed = time.perf_counter(), 0
    for step in range(first_step, settings.steps):
        factor = learning_rate_factor(step, steps=settings.steps, warmup_steps=settings.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor
        prepared_step.train()
        losses = _optimize(prepared_step, prepared_optimizer, accelerator, settings, state, batches)
        done = state.step = step + 1
        steps_timed += 1
        # At every step, for no checkpoint may hold what a gradient that is not finite has made of the parameters.
        if not (math.isfinite(losses["loss"]) and math.isfinite(losses["gradient_norm"])):
            raise TrainingDivergedError(
                f"{name}: at step {done} the loss is {losses['loss']:.4g} and its gradient's norm "
                f"{losses['gradient_norm']:.4g}; {_remedy(settings, checkpoints)}"
            )
        if step == first_step:
            _require_that_all_are_used(state, name)
        if average is not None:
            average.update(done)
        if done > settings.warmup_steps:
            state.watch.observe(losses[watched_loss])
        if state.watch.has_diverged:
            raise TrainingDivergedError(
                f"{name}: at step {done} the smoothed '{watched_loss}' is {state.watch.smoothed:.4g}, more than "
                f"{DIVERGED_FACTOR:g} times its lowest value {state.watch.lowest:.4g}; {_remedy(settings, checkpoints)}"
            )
        if done % settings.log_every == 0 or done == settings.steps:
            seconds = (time.perf_counter() - seconds_started) / steps_timed
            entries = {**losses, "learning_rate": settings.learning_rate * factor, "seconds_per_step": seconds}
            accelerator.log({f"{name}/{key}": value for key, value in entries.items()}, step=done)
            progress.set_postfix(loss=f"{losses['loss']:.4f}")
            seconds_started, steps_timed = time.perf_counter(), 0
        progress.update()
        is_last = done == settings.steps
        if done % settings.checkpoint_every == 0:
            checkpoint_due = True
            if not (state.watch.is_calm or is_last):
                accelerator.print(
                    f"{name}: no checkpoint after step {done}, while '{watched_loss}' is above {CALM_FACTOR:g} times "
                    "its lowest smoothed value"
                )
        if is_last or (checkpoint_due and state.watch.is_calm):
            if accelerator.is_main_process:
                save_checkpoint(checkpoints, state, kept=settings.checkpoints_kept)
            accelerator.wait_for_everyone()
            checkpoint_due = False
        if done % settings.validate_every == 0 or is_last:
            validation = _validate(training_step, validate, average, accelerator, name, done)
            progress.set_postfix(validation.scores)
            seconds_started, steps_timed = time.perf_counter(), 0
    progress.close()
    if validation is None:
        validation = _validate(training_step, validate, average, accelerator, name, settings.steps)
    if average is not None:
        average.copy_to_parameters()
    accelerator.free_memory()
    return validation


def _optimize(
    training_step: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    settings: TrainingSettings,
    state: TrainingState,
    batches: Iterator[Batch],
) -> dict[str, float]:
    """One optimiser step over `gradient_accumulation` micro-batches.

    Returns:
        The losses, means over micro-batches and processes, and the "gradient_norm" before clipping.
    """
    means: dict[str, Tensor] = {}
    for _ in range(settings.gradient_accumulation):
        batch = send_to_device(next(batches) | {"step": torch.tensor(state.step)}, accelerator.device)
        with accelerator.accumulate(training_step):
            losses = training_step(batch)
            accelerator.backward(losses["loss"])
            if accelerator.sync_gradients:
                means["gradient_norm"] = accelerator.clip_grad_norm_(state.parameters.values(), settings.gradient_clip)
            optimizer.step()
            optimizer.zero_grad()
        for key, value in losses.items():
            means[key] = means.get(key, 0.0) + value.detach().float() / settings.gradient_accumulation
    # One exchange between the processes and one wait for the device, for all values together.
    values = accelerator.reduce(torch.stack(list(means.values())), "mean").tolist()
    return dict(zip(means, values, strict=True))


def _require_that_all_are_used(state: TrainingState, name: str) -> None:
    """AdamW has a state for every parameter that has ever had a gradient.

    On several processes a parameter without one would otherwise end the second step with an error from torch's
    reducer; on one it would silently keep its first value.
    """
    unused = [key for key, parameter in state.parameters.items() if parameter not in state.optimizer.state]
    if unused:
        raise UnusedParameterError(
            f"{name}: the loss does not depend on {len(unused)} of the parameters to train, the first being "
            f"'{unused[0]}'; freeze them, or give the loss that they serve"
        )


def _remedy(settings: TrainingSettings, checkpoints: Path) -> str:
    found = list_checkpoints(checkpoints)
    resumption = (
        f"it resumes from {found[-1]}, the last one before the loss rose"
        if found
        else "it starts again, for there is no checkpoint yet"
    )
    return f"lower training.learning_rate ({settings.learning_rate}), then run again: {resumption}"


def _validate(
    training_step: nn.Module,
    validate: Callable[[], Validation],
    average: MovingAverage | None,
    accelerator: Accelerator,
    name: str,
    step: int,
) -> Validation:
    training_step.eval()
    with torch.no_grad(), average.swapped_in() if average is not None else nullcontext():
        validation = validate()
    log_validation(accelerator, name, validation, step)
    return validation
