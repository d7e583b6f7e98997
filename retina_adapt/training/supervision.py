"""What a training needs besides its optimiser steps: resuming, watching the loss, logging, checkpoints, validation."""

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

from retina_adapt.training.checkpoint import CheckpointError, TrainingState, read_checkpoint, restore
from retina_adapt.training.checkpoint_folder import CheckpointFolder
from retina_adapt.training.divergence import CALM_FACTOR, DIVERGED_FACTOR, DivergenceWatch, TrainingDivergedError
from retina_adapt.training.gather import fail_together
from retina_adapt.training.interruption import TrainingStopped
from retina_adapt.training.run_record import Status, note_progress
from retina_adapt.training.settings import TrainingSettings, TrainingSettingsError
from retina_adapt.training.sharding import gathered_parameters, whole
from retina_adapt.training.tracking import Validation, forget_entries_after, log_validation
from retina_adapt.training.validation_history import ScoredStep, require_score, validations_without_gain


@dataclass
class Supervision:
    """Supervision of the steps of one training: what is due when.

    After each step, the loop calls `refuse_divergence`, `log` and `save_if_due`, and `validate` if `validation_is_due`.
    While the watched loss is too high, checkpoints and validations that are due wait for the first step at which it no
    longer is; at the last step, both are done however high it is.

    Attributes:
        name, training_step, accelerator, settings, output_folder: as passed to `train`.
        prepared_step: the training step as the accelerator prepared it.
        checkpoints: this training's checkpoints.
        state: what is being trained, and how far it has got.
        compute_validation: computes the validation; called on every process.
        observe_validations: called with all validations so far.
        watched_loss: the loss whose rise ends the run.
        phase_starts: steps after which the loss is no longer comparable, and the watch starts again.
    """

    name: str
    training_step: nn.Module
    prepared_step: nn.Module
    accelerator: Accelerator
    settings: TrainingSettings
    checkpoints: CheckpointFolder
    state: TrainingState
    compute_validation: Callable[[], Validation]
    observe_validations: Callable[[Sequence[ScoredStep]], None]
    watched_loss: str
    phase_starts: Collection[int]
    output_folder: Path
    checkpoint_is_due: bool = False

    def resume(self) -> None:
        """Resume from the newest checkpoint, if there is one; refuses as `CheckpointFolder.to_resume_from` does."""
        # All processes look before the main one tidies up.
        found = fail_together(self.accelerator, lambda: self.checkpoints.to_resume_from(self.settings.resume))
        names = gather_object([found.name if found else None])
        if len(set(names)) > 1:
            raise CheckpointError(
                f"{self.checkpoints.folder}: the processes find different checkpoints there; give an output_folder on "
                "a disk that all machines share"
            )
        if self.accelerator.is_main_process:
            self.checkpoints.remove_leftovers()
        if found is not None:
            # Restoring sharded parameters takes all processes, so each has to know that all could read.
            restore(fail_together(self.accelerator, lambda: read_checkpoint(found, self.state)), self.state)
            if self.state.step > self.settings.steps:
                raise CheckpointError(
                    f"{found}: was trained for {self.state.step} steps, and steps is {self.settings.steps}; give as "
                    "many steps or more, or another output_folder"
                )
            self.accelerator.print(f"{self.name}: resuming after step {self.state.step} from {found}")
        forget_entries_after(self.accelerator, self.name, self.state.step)
        if self.state.validations:
            # `best_by` may have changed since.
            require_score(self.state.validations[-1].scores, self.settings.best_by)
            self._show_validations()

    def start_timing(self) -> None:
        """Time steps from now on."""
        self.seconds_started, self.steps_timed = time.perf_counter(), 0

    @property
    def is_last(self) -> bool:
        """Whether this is the last step."""
        return self.state.step == self.settings.steps

    @property
    def validation_is_due(self) -> bool:
        """Whether to validate at this step.

        While the watched loss is too high, validations that are due are put off to the next step at which it is not: no
        checkpoint is saved before, and a validation without one would leave nothing behind.
        """
        if self.is_last or self.state.step == 0:
            return self.is_last and self.state.step > 0
        every = self.settings.validate_every
        validated = self.state.validations[-1].step if self.state.validations else 0
        return self.state.watch.is_calm and self.state.step // every > validated // every

    @property
    def is_validated(self) -> bool:
        """Whether the scores of this step are known."""
        return bool(self.state.validations) and self.state.validations[-1].step == self.state.step

    @property
    def has_converged(self) -> bool:
        """Whether as many validations in a row brought no gain as the settings have patience for."""
        settings = self.settings
        waited = validations_without_gain(self.state.validations, settings.best_by, settings.least_improvement)
        return 0 < settings.patience <= waited

    def refuse_divergence(self, losses: dict[str, float]) -> None:
        """Take in a step's losses, and refuse divergence.

        Raises:
            TrainingDivergedError: the loss or its gradient is not finite, or the watched loss has risen too far.
        """
        # At every step: no checkpoint may hold parameters that were changed by a gradient that is not finite.
        name, step = self.name, self.state.step
        if step - 1 in self.phase_starts:
            self.state.watch = DivergenceWatch()
        watch = self.state.watch
        if not (math.isfinite(losses["loss"]) and math.isfinite(losses["gradient_norm"])):
            raise TrainingDivergedError(
                f"{name}: at step {step} the loss is {losses['loss']:.4g} and its gradient's norm "
                f"{losses['gradient_norm']:.4g}; {self._remedy()}"
            )
        if step > self.settings.warmup_steps:
            watch.observe(losses[self.watched_loss])
        if watch.has_diverged:
            raise TrainingDivergedError(
                f"{name}: at step {step} the smoothed '{self.watched_loss}' is {watch.smoothed:.4g}, more than "
                f"{DIVERGED_FACTOR:g} times its lowest value {watch.lowest:.4g}; {self._remedy()}"
            )

    def log(self, losses: dict[str, float], *, learning_rate: float) -> None:
        """Send a step's losses to the trackers, if this step is to be logged."""
        self.steps_timed += 1
        if self.state.step % self.settings.log_every and not self.is_last:
            return
        seconds = (time.perf_counter() - self.seconds_started) / self.steps_timed
        entries = {**losses, "learning_rate": learning_rate, "seconds_per_step": seconds}
        self.accelerator.log({f"{self.name}/{key}": value for key, value in entries.items()}, step=self.state.step)
        self.start_timing()

    def save_if_due(self, *, stops: bool) -> None:
        """Save a checkpoint if one is due, but not while the watched loss is too high; always save at the last step."""
        step, settings = self.state.step, self.settings
        regularly = step % settings.checkpoint_every == 0 or step % settings.validate_every == 0
        if regularly or self.validation_is_due or stops:
            self.checkpoint_is_due = True
            if not (self.state.watch.is_calm or self.is_last):
                self.accelerator.print(
                    f"{self.name}: no checkpoint and no validation after step {step}, while '{self.watched_loss}' is "
                    f"above {CALM_FACTOR:g} times its lowest smoothed value"
                )
        if self.is_last or (self.checkpoint_is_due and self.state.watch.is_calm):
            writes = self.accelerator.is_main_process
            fail_together(self.accelerator, lambda: self.checkpoints.save(self.state, writes=writes))
            self.checkpoint_is_due = False

    def validate(self) -> Validation:
        """Validate the present weights, or their average if there is one; log and record the result the first time."""
        self.training_step.eval()
        average = self.state.average
        with (
            torch.no_grad(),
            average.swapped_in() if average is not None else nullcontext(),
            gathered_parameters(self.prepared_step),
        ):
            validation = self.compute_validation()
        # NumPy's and PyTorch's numbers could not be stored as JSON.
        scores = {name: float(score) for name, score in validation.scores.items()}
        validation = dataclasses.replace(validation, scores=scores, step=self.state.step)
        require_score(validation.scores, self.settings.best_by)
        if self.settings.patience and not validation.scores:
            raise TrainingSettingsError(
                f"patience is {self.settings.patience}, but the validation has no score that shows a gain; set it to 0"
            )
        self.note("running", validation.scores)
        if not self.is_validated:
            self._record(validation)
        self.start_timing()
        return validation

    def note(self, status: Status, scores: dict[str, float] | None = None, step: int | None = None) -> None:
        """Note in the run's record how far this training has got: to `step`, by default its state's step."""
        if self.accelerator.is_main_process:
            step, steps = self.state.step if step is None else step, self.settings.steps
            note_progress(self.output_folder, self.name, status=status, step=step, steps=steps, scores=scores)

    def stop(self, status: int) -> NoReturn:
        """End after a signal with the exit status `status`, and print where the same command resumes.

        Raises:
            TrainingStopped: always.
        """
        self.accelerator.print(
            f"{self.name}: stopped after step {self.state.step}; the same command resumes from "
            f"{self.checkpoints.newest() or 'the start'}"
        )
        self.note("stopped")
        raise TrainingStopped(status)

    def _record(self, validation: Validation) -> None:
        norms = {
            name: whole(torch.linalg.vector_norm(parameter.detach().float())).item()
            for name, parameter in self.state.parameters.items()
        }
        log_validation(self.accelerator, self.name, validation, self.state.step, norms)
        # All processes must make the same decisions.
        (scores,) = broadcast_object_list([validation.scores])
        self.state.validations.append(ScoredStep(self.state.step, scores))
        if self.accelerator.is_main_process:
            self.checkpoints.record_validations(self.state)
        self.accelerator.wait_for_everyone()
        self._show_validations()

    def _show_validations(self) -> None:
        try:
            self.observe_validations(self.state.validations)
        except Exception:
            self.note("stopped")
            raise

    def _remedy(self) -> str:
        found = self.checkpoints.newest()
        resumption = (
            f"it resumes from {found}, the last one before the loss rose"
            if found
            else "it starts from the beginning, as there is no checkpoint yet"
        )
        return f"lower its learning_rate ({self.settings.learning_rate}), then run again: {resumption}"
