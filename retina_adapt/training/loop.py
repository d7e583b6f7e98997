"""The one training loop. It knows batches, losses and steps; what is being trained is the recipe's business."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device, tqdm
from torch import Tensor, nn

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from retina_adapt.training.schedule import learning_rate_factor
from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.tracking import Validation, log_validation

Batch = dict[str, Tensor]


class TrainingDivergedError(RetinaAdaptError):
    """The loss is no longer a finite number."""


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
) -> Validation:
    """Train the parameters of `training_step` that require gradients; resume from the newest checkpoint, if any.

    Args:
        training_step: its `forward(batch)` makes all network calls of one step (data-parallel training sees only
            what runs through `forward`) and returns the losses by name, "loss" being the one to minimise.
        name: of this training: its checkpoints' folder and the prefix of its tracker tags.
        batches_from: gives the micro-batches from the given micro-batch on; the same ones, whenever it is asked.
        validate: called on every process.
        inspect_optimizer: called once before the first step; raises if the optimizer holds what it must not.

    Returns:
        The validation after the last step.

    Raises:
        TrainingDivergedError: names the step; the newest checkpoint is from before it.
        NothingToTrainError: if no parameter requires a gradient.
        UnusedParameterError: after the first step, if a parameter that requires a gradient got none.
        CheckpointError: see `load_checkpoint`.
    """
    checkpoints = Path(output_folder) / "checkpoints" / name
    trainable = [parameter for parameter in training_step.parameters() if parameter.requires_grad]
    if not trainable:
        raise NothingToTrainError(f"{name}: no parameter requires a gradient; check which hook groups are chosen")
    optimizer = torch.optim.AdamW(trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    inspect_optimizer(optimizer)
    first_step = 0
    if found := list_checkpoints(checkpoints):
        first_step = load_checkpoint(found[-1], module=training_step, optimizer=optimizer)
        accelerator.print(f"{name}: resuming after step {first_step} from {found[-1]}")
    prepared_step, prepared_optimizer = accelerator.prepare(training_step, optimizer)
    # These settings hold, whatever the accelerator was made with and wherever an earlier training of it was stopped.
    accelerator.gradient_accumulation_steps = settings.gradient_accumulation
    accelerator.step = 0

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
    seconds_started, steps_timed = time.perf_counter(), 0
    for step in range(first_step, settings.steps):
        factor = learning_rate_factor(step, steps=settings.steps, warmup_steps=settings.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor
        prepared_step.train()
        losses = _optimize(prepared_step, prepared_optimizer, accelerator, settings, trainable, batches)
        done, steps_timed = step + 1, steps_timed + 1
        # At every step, for no checkpoint may hold what a gradient that is not finite has made of the parameters.
        if not (losses["loss"].isfinite() and losses["gradient_norm"].isfinite()):
            raise TrainingDivergedError(
                f"{name}: at step {done} the loss is {losses['loss']:.4g} and its gradient's norm "
                f"{losses['gradient_norm']:.4g}; lower training.learning_rate ({settings.learning_rate}), then run "
                "again: it resumes from the newest checkpoint"
            )
        if step == first_step:
            _require_that_all_are_used(training_step, optimizer, name)
        if done % settings.log_every == 0 or done == settings.steps:
            means = {key: accelerator.reduce(value, "mean").item() for key, value in losses.items()}
            seconds = (time.perf_counter() - seconds_started) / steps_timed
            entries = {**means, "learning_rate": settings.learning_rate * factor, "seconds_per_step": seconds}
            accelerator.log({f"{name}/{key}": value for key, value in entries.items()}, step=done)
            progress.set_postfix(loss=f"{means['loss']:.4f}")
            seconds_started, steps_timed = time.perf_counter(), 0
        progress.update()
        is_last = done == settings.steps
        if done % settings.checkpoint_every == 0 or is_last:
            if accelerator.is_main_process:
                save_checkpoint(
                    checkpoints,
                    step=done,
                    module=training_step,
                    optimizer=optimizer,
                    kept=settings.checkpoints_kept,
                )
            accelerator.wait_for_everyone()
        if done % settings.validate_every == 0 or is_last:
            validation = _validate(training_step, validate, accelerator, name, done)
            progress.set_postfix(validation.scores)
            seconds_started, steps_timed = time.perf_counter(), 0
    progress.close()
    if validation is None:
        validation = _validate(training_step, validate, accelerator, name, settings.steps)
    accelerator.free_memory()
    return validation


def _optimize(
    training_step: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    settings: TrainingSettings,
    trainable: list[nn.Parameter],
    batches: Iterable[Batch],
) -> dict[str, Tensor]:
    """One optimiser step over `gradient_accumulation` micro-batches; their mean losses and the gradient's norm."""
    means: dict[str, Tensor] = {}
    for _ in range(settings.gradient_accumulation):
        batch = send_to_device(next(batches), accelerator.device)
        with accelerator.accumulate(training_step):
            losses = training_step(batch)
            accelerator.backward(losses["loss"])
            if accelerator.sync_gradients:
                means["gradient_norm"] = accelerator.clip_grad_norm_(trainable, settings.gradient_clip)
            optimizer.step()
            optimizer.zero_grad()
        for key, value in losses.items():
            means[key] = means.get(key, 0.0) + value.detach() / settings.gradient_accumulation
    return means


def _require_that_all_are_used(training_step: nn.Module, optimizer: torch.optim.Optimizer, name: str) -> None:
    """AdamW has a state for every parameter that has ever had a gradient.

    On several processes a parameter without one would otherwise end the second step with an error from torch's
    reducer; on one it would silently keep its first value.
    """
    unused = [
        key
        for key, parameter in training_step.named_parameters()
        if parameter.requires_grad and parameter not in optimizer.state
    ]
    if unused:
        raise UnusedParameterError(
            f"{name}: the loss does not depend on {len(unused)} of the parameters to train, the first being "
            f"'{unused[0]}'; freeze them, or give the loss that they serve"
        )


def _validate(
    training_step: nn.Module,
    validate: Callable[[], Validation],
    accelerator: Accelerator,
    name: str,
    step: int,
) -> Validation:
    training_step.eval()
    with torch.no_grad():
        validation = validate()
    log_validation(accelerator, name, validation, step)
    return validation
