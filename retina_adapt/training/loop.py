"""The one training loop. It knows batches, losses and steps; what is trained is the recipe's business."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import tqdm
from torch import nn

from retina_adapt.training.checkpoint import load_checkpoint
from retina_adapt.training.checkpoint_folder import checkpoint_folder
from retina_adapt.training.dry_run import try_out
from retina_adapt.training.gather import on_any_process
from retina_adapt.training.interruption import StopRequest
from retina_adapt.training.optimization import Batch, OptimizerMaker, adamw, prepare_training, take_step
from retina_adapt.training.schedule import learning_rate_factor
from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.sharding import make_whole
from retina_adapt.training.supervision import Supervision
from retina_adapt.training.tracking import Validation
from retina_adapt.training.validation_history import ScoredStep


def train(
    training_step: nn.Module,
    *,
    name: str,
    accelerator: Accelerator,
    settings: TrainingSettings,
    batches_from: Callable[[int], Iterable[Batch]],
    validate: Callable[[], Validation],
    output_folder: str | Path,
    make_optimizer: OptimizerMaker = adamw,
    inspect_optimizer: Callable[[torch.optim.Optimizer], None] = lambda optimizer: None,
    observe_validations: Callable[[Sequence[ScoredStep]], None] = lambda validations: None,
    watched_loss: str = "loss",
    phase_starts: Collection[int] = (),
    built_on: str = "",
) -> Validation:
    """Train the parameters of `training_step` that require gradients, resuming from the newest checkpoint, if any.

    With a moving average, the averaged parameters are validated, and are the module's parameters at the end.

    Args:
        training_step: a module whose `forward(batch)` makes all network calls of one step (data-parallel training sees
            only what runs through `forward`) and returns the losses by name, "loss" being the one to minimise. The loop
            adds "step" to the batch: an int64 scalar, the number of optimiser steps done.
        name: name of this training, used for its checkpoints' folder and as the prefix of its tracker tags.
        batches_from: yields the micro-batches from the given micro-batch on, to the last step; always the same ones.
        validate: called on every process.
        make_optimizer: makes the optimiser from the parameters to train and the settings. Its groups may have their own
            learning rates: warmup and decay scale all of them alike.
        inspect_optimizer: called once before the first step; raises if the optimiser holds what it must not.
        observe_validations: called on every process with all validations so far, with the main process's scores: after
            each validation, and when a run resumes that has some. An exception it raises ends the run.
        watched_loss: the loss whose rise ends the run; see `DivergenceWatch`. Name another one if "loss" is expected to
            rise, as with an adversarial term. While the watched loss is above 3 times its lowest value, nothing is
            saved or validated before the last step, so that a checkpoint from before the rise remains.
        phase_starts: steps after which different batches come, such as larger frames, whose losses cannot be compared
            with those before: the watch starts again.
        built_on: what identifies the frozen networks that the parameters depend on, such as their fingerprints.
            Checkpoints trained on other networks are refused.

    Returns:
        The validation of the result: after the last step, or of the best checkpoint.

    Raises:
        TrainingStopped: on all processes, after SIGTERM or Ctrl-C on any of them. A checkpoint of the step is written
            first, unless the watched loss is too high.
        TrainingDivergedError: on all processes; names the step, and the checkpoint to continue from.
        UnsupportedStrategyError: the accelerator was configured for DeepSpeed, Megatron-LM or the first FSDP.
        NothingToTrainError: no parameter requires a gradient.
        UnusedParameterError: a parameter that requires a gradient got none in the first step, or is not among the
            optimiser's.
        BatchesEndedError: `batches_from` yields fewer micro-batches than the steps need.
        CheckpointError: a checkpoint cannot be read or written, belongs to other frozen networks, has more steps than
            the settings, or contradicts `settings.resume`.
        FolderInUseError: on all processes; another run of this training is at work in the folder.
        TrainingSettingsError: `settings.best_by` is not a score of the validation, or there is no score for `patience`.
    """
    checkpoints = checkpoint_folder(output_folder, name, settings)
    state, prepared_step, prepared_optimizer = prepare_training(
        training_step, name, accelerator, settings, make_optimizer=make_optimizer, inspect_optimizer=inspect_optimizer
    )
    state.built_on = built_on
    peak_rates = [group["lr"] for group in state.optimizer.param_groups]
    supervision = Supervision(
        name,
        training_step,
        prepared_step,
        accelerator,
        settings,
        checkpoints,
        state,
        validate,
        observe_validations,
        watched_loss,
        phase_starts,
        Path(output_folder),
    )
    if settings.dry_run:
        tried = try_out(supervision, prepared_step, prepared_optimizer, iter(batches_from(0)))
        make_whole(training_step)
        accelerator.free_memory()
        return tried
    validation = None
    with checkpoints.sole_use(accelerator), StopRequest() as stop:
        supervision.resume()
        supervision.note("running")
        batches = iter(batches_from(state.step * settings.gradient_accumulation))
        progress = tqdm(
            main_process_only=True,
            initial=state.step,
            total=settings.steps,
            desc=name,
            dynamic_ncols=True,
            mininterval=1,
        )
        if supervision.validation_is_due and not supervision.is_validated:
            # The earlier process was killed while it validated.
            validation = supervision.validate()
        first_step = state.step
        supervision.start_timing()
        while state.step < settings.steps and not supervision.has_converged:
            factor = learning_rate_factor(
                state.step,
                steps=settings.steps,
                warmup_steps=settings.warmup_steps,
                decay=settings.learning_rate_decay,
            )
            for group, peak_rate in zip(state.optimizer.param_groups, peak_rates, strict=True):
                group["lr"] = peak_rate * factor
            losses, stops = take_step(
                prepared_step,
                prepared_optimizer,
                accelerator,
                settings,
                state,
                batches,
                stop=stop,
                all_are_used=state.step == first_step,
            )
            state.step += 1
            supervision.refuse_divergence(losses)
            if state.average is not None:
                state.average.update(state.step)
            supervision.log(losses, learning_rate=peak_rates[0] * factor)
            progress.set_postfix(loss=f"{losses['loss']:.4f}")
            progress.update()
            supervision.save_if_due(stops=stops)
            if stops:
                supervision.stop(stop.status)
            if supervision.validation_is_due:
                validation = supervision.validate()
                progress.set_postfix(validation.scores)
        if validation is None:
            validation = supervision.validate()
        # A recipe's next training must not begin.
        if on_any_process(accelerator, stop.is_requested):
            supervision.stop(stop.status)
    progress.close()
    steps_done = state.step
    ends_early = steps_done < settings.steps
    if ends_early:
        accelerator.print(f"{name}: ended after step {steps_done}; {settings.patience} validations brought no gain")
    if settings.result == "best" and (best := checkpoints.best()) is not None and best != checkpoints.of(steps_done):
        load_checkpoint(best, state)
        accelerator.print(f"{name}: the result is {best}")
        validation = supervision.validate()
    supervision.note("finished early" if ends_early else "finished", validation.scores, step=steps_done)
    if state.average is not None:
        state.average.copy_to_parameters()
    make_whole(training_step)
    accelerator.free_memory()
    return validation
