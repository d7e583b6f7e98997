"""The one training loop. It knows batches, losses and steps; what is being trained is the recipe's business."""

import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, send_to_device, set_seed, tqdm
from torch import Tensor, nn

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.training.checkpoint import TrainingState, load_checkpoint
from retina_adapt.training.checkpoint_folder import CheckpointFolder, checkpoint_folder
from retina_adapt.training.divergence import CALM_FACTOR, DIVERGED_FACTOR, TrainingDivergedError
from retina_adapt.training.dry_run import STEPS_TRIED, report_of, store_report
from retina_adapt.training.gather import fail_together
from retina_adapt.training.interruption import StopRequest, TrainingStopped
from retina_adapt.training.moving_average import MovingAverage
from retina_adapt.training.run_record import Status, note_progress
from retina_adapt.training.schedule import learning_rate_factor
from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.sharding import gathered_parameters, make_whole, whole
from retina_adapt.training.tracking import Validation, forget_entries_after, log_validation

Batch = dict[str, Tensor]


class NothingToTrainError(RetinaAdaptError):
    """No parameter of the training step requires a gradient."""


class UnsupportedStrategyError(RetinaAdaptError):
    """The launcher was configured for a way to divide the work whose state the checkpoints cannot hold."""


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
        The validation of the result: after the last step, or of the best checkpoint.

    Raises:
        TrainingStopped: after SIGTERM on any process, on all of them; a checkpoint of the step is then written.
        TrainingDivergedError: on all processes; names the step, and the checkpoint to go on from.
        UnsupportedStrategyError: if the accelerator was configured for DeepSpeed or Megatron-LM.
        NothingToTrainError: if no parameter requires a gradient.
        UnusedParameterError: after the first step, if a parameter that requires a gradient got none.
        CheckpointError: a checkpoint cannot be read or written, or there is one against `settings.resume`.
        TrainingSettingsError: `settings.best_by` is no score of the validation.
    """
    checkpoints = checkpoint_folder(output_folder, name, settings)
    state, prepared_step, prepared_optimizer = _prepare(
        training_step, name, accelerator, settings, inspect_optimizer=inspect_optimizer
    )
    loop = _Loop(
        name, training_step, accelerator, settings, checkpoints, state, validate, watched_loss, Path(output_folder)
    )
    if settings.dry_run:
        return loop.try_out(prepared_step, prepared_optimizer, iter(batches_from(0)))
    loop.resume()
    loop.note("running")
    batches = iter(batches_from(state.step * settings.gradient_accumulation))
    progress = tqdm(
        main_process_only=True,
        initial=state.step,
        total=settings.steps,
        desc=name,
        dynamic_ncols=True,
        mininterval=1,
    )
    validation = None
    with StopRequest() as stop:
        if state.step > 0 and loop.validation_is_due and not checkpoints.is_validated(state.step):
            # The process was killed while it validated.
            validation = loop.validate()
        first_step = state.step
        loop.start_timing()
        for step in range(first_step, settings.steps):
            factor = learning_rate_factor(step, steps=settings.steps, warmup_steps=settings.warmup_steps)
            for group in state.optimizer.param_groups:
                group["lr"] = settings.learning_rate * factor
            prepared_step.train()
            losses, stops = _optimize(
                prepared_step,
                prepared_optimizer,
                accelerator,
                settings,
                state,
                batches,
                stop=stop,
            )
            state.step = step + 1
            loop.refuse_divergence(losses)
            if step == first_step:
                _require_that_all_are_used(state, name)
            if state.average is not None:
                state.average.update(state.step)
            loop.log(losses, learning_rate=settings.learning_rate * factor)
            progress.set_postfix(loss=f"{losses['loss']:.4f}")
            progress.update()
            loop.save_if_due(stops=stops)
            if stops and state.step < settings.steps:
                accelerator.print(
                    f"{name}: SIGTERM; stopped after step {state.step}, the same command goes on from "
                    f"{checkpoints.newest() or 'the start'}"
                )
                loop.note("stopped")
                raise TrainingStopped
            if loop.validation_is_due:
                validation = loop.validate()
                progress.set_postfix(validation.scores)
    progress.close()
    if validation is None:
        validation = loop.validate()
    if settings.result == "best" and (best := checkpoints.best()) is not None and best != checkpoints.newest():
        load_checkpoint(best, state)
        accelerator.print(f"{name}: the result is {best}")
        validation = loop.validate()
    loop.note("finished", validation.scores)
    if state.average is not None:
        state.average.copy_to_parameters()
    make_whole(training_step)
    accelerator.free_memory()
    return validation


def _prepare(
    training_step: nn.Module,
    name: str,
    accelerator: Accelerator,
    settings: TrainingSettings,
    inspect_optimizer: Callable[[torch.optim.Optimizer], None],
) -> tuple[TrainingState, nn.Module, torch.optim.Optimizer]:
    if accelerator.distributed_type in (DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise UnsupportedStrategyError(
            f"{accelerator.distributed_type.value} keeps its optimiser's state in files of its own, which are pickles; "
            "use recipes/configs/accelerate/fsdp2.yaml, which divides the same among the processes, or ddp.yaml"
        )
    trainable = [parameter for parameter in training_step.parameters() if parameter.requires_grad]
    if not trainable:
        raise NothingToTrainError(f"{name}: no parameter requires a gradient; check which hook groups are chosen")
    optimizer = torch.optim.AdamW(trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    inspect_optimizer(optimizer)
    prepared_step, prepared_optimizer = accelerator.prepare(training_step, optimizer)
    # These settings hold, whatever the accelerator was made with and wherever an earlier training of it was stopped.
    accelerator.gradient_accumulation_steps = settings.gradient_accumulation
    accelerator.step = 0
    # Only now the parameters are on their device, the same on all processes, and sharded if they are to be.
    parameters = {key: parameter for key, parameter in training_step.named_parameters() if parameter.requires_grad}
    average = MovingAverage(parameters, settings.moving_average_decay) if settings.moving_average_decay else None
    return TrainingState(parameters, optimizer, average), prepared_step, prepared_optimizer


@dataclass
class _Loop:
    """What `train` does beside optimising: resume, watch, log, keep checkpoints, validate."""

    name: str
    training_step: nn.Module
    accelerator: Accelerator
    settings: TrainingSettings
    checkpoints: CheckpointFolder
    state: TrainingState
    compute_validation: Callable[[], Validation]
    watched_loss: str
    output_folder: Path
    checkpoint_is_due: bool = False

    def resume(self) -> None:
        # All look before the main process tidies up.
        found = self.checkpoints.to_resume_from(self.settings.resume)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.checkpoints.remove_leftovers()
        if found is not None:
            fail_together(self.accelerator, lambda: load_checkpoint(found, self.state))
            self.accelerator.print(f"{self.name}: resuming after step {self.state.step} from {found}")
        forget_entries_after(self.accelerator, self.name, self.state.step)

    def start_timing(self) -> None:
        self.seconds_started, self.steps_timed = time.perf_counter(), 0

    @property
    def is_last(self) -> bool:
        return self.state.step == self.settings.steps

    @property
    def validation_is_due(self) -> bool:
        return self.state.step % self.settings.validate_every == 0 or self.is_last

    def refuse_divergence(self, losses: dict[str, float]) -> None:
        # At every step, for no checkpoint may hold what a gradient that is not finite has made of the parameters.
        watch, name, step = self.state.watch, self.name, self.state.step
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
        self.steps_timed += 1
        if self.state.step % self.settings.log_every and not self.is_last:
            return
        seconds = (time.perf_counter() - self.seconds_started) / self.steps_timed
        entries = {**losses, "learning_rate": learning_rate, "seconds_per_step": seconds}
        self.accelerator.log({f"{self.name}/{key}": value for key, value in entries.items()}, step=self.state.step)
        self.start_timing()

    def save_if_due(self, *, stops: bool) -> None:
        """Save at the steps that are due; while the watched loss is too high, later, but at the last step always."""
        if self.state.step % self.settings.checkpoint_every == 0 or self.validation_is_due or stops:
            self.checkpoint_is_due = True
            if not (self.state.watch.is_calm or self.is_last):
                self.accelerator.print(
                    f"{self.name}: no checkpoint after step {self.state.step}, while '{self.watched_loss}' is above "
                    f"{CALM_FACTOR:g} times its lowest smoothed value"
                )
        if self.is_last or (self.checkpoint_is_due and self.state.watch.is_calm):
            writes = self.accelerator.is_main_process
            fail_together(self.accelerator, lambda: self.checkpoints.save(self.state, writes=writes))
            self.checkpoint_is_due = False

    def validate(self) -> Validation:
        self.training_step.eval()
        average = self.state.average
        with (
            torch.no_grad(),
            average.swapped_in() if average is not None else nullcontext(),
            gathered_parameters(self.training_step),
        ):
            validation = self.compute_validation()
        self.checkpoints.require_score(validation.scores)
        if not self.checkpoints.is_validated(self.state.step):
            norms = {
                name: whole(torch.linalg.vector_norm(parameter.detach().float())).item()
                for name, parameter in self.state.parameters.items()
            }
            log_validation(self.accelerator, self.name, validation, self.state.step, norms)
            # The others have looked as well.
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                self.checkpoints.record_validation(self.state.step, validation.scores)
            self.accelerator.wait_for_everyone()
        self.note("running", validation.scores)
        self.start_timing()
        return validation

    def note(self, status: Status, scores: dict[str, float] | None = None) -> None:
        if self.accelerator.is_main_process:
            step, steps = self.state.step, self.settings.steps
            note_progress(self.output_folder, self.name, status=status, step=step, steps=steps, scores=scores)

    def try_out(
        self, prepared_step: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterator[Batch]
    ) -> Validation:
        """Take the first steps, write and remove a checkpoint, validate, and print what a full run would take."""
        seconds = []
        for _ in range(min(STEPS_TRIED, self.settings.steps)):
            started = time.perf_counter()
            prepared_step.train()
            losses, _ = _optimize(
                prepared_step, optimizer, self.accelerator, self.settings, self.state, batches, stop=StopRequest()
            )
            self.state.step += 1
            self.refuse_divergence(losses)
            _require_that_all_are_used(self.state, self.name)
            seconds.append(time.perf_counter() - started)
        is_main = self.accelerator.is_main_process
        started, size = time.perf_counter(), 0
        fail_together(self.accelerator, lambda: self.checkpoints.save(self.state, writes=is_main))
        seconds_per_checkpoint = time.perf_counter() - started
        if is_main and (checkpoint := self.checkpoints.newest()) is not None:
            size = sum(file.stat().st_size for file in checkpoint.iterdir())
            shutil.rmtree(self.checkpoints.folder)
        self.accelerator.wait_for_everyone()
        started = time.perf_counter()
        validation = self.validate()
        report = report_of(
            self.training_step,
            self.settings,
            seconds_per_step=seconds[-1],
            seconds_per_validation=time.perf_counter() - started,
            seconds_per_checkpoint=seconds_per_checkpoint,
            checkpoint_bytes=size,
        )
        self.accelerator.print("\n".join([f"{self.name}, dry run:", *(f"  {line}" for line in report.lines())]))
        if is_main:
            store_report(report, self.output_folder, self.name)
        make_whole(self.training_step)
        self.accelerator.free_memory()
        return validation

    def _remedy(self) -> str:
        found = self.checkpoints.newest()
        resumption = (
            f"it resumes from {found}, the last one before the loss rose"
            if found
            else "it starts again, for there is no checkpoint yet"
        )
        return f"lower training.learning_rate ({self.settings.learning_rate}), then run again: {resumption}"


def _optimize(
    training_step: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    settings: TrainingSettings,
    state: TrainingState,
    batches: Iterator[Batch],
    *,
    stop: StopRequest,
) -> tuple[dict[str, float], bool]:
    """One optimiser step over `gradient_accumulation` micro-batches.

    Returns:
        The losses, means over micro-batches and processes, and the "gradient_norm" before clipping; and whether any
        process was told to stop.
    """
    means: dict[str, Tensor] = {}
    for micro_batch in range(settings.gradient_accumulation):
        batch = send_to_device(next(batches) | {"step": torch.tensor(state.step)}, accelerator.device)
        # After the batch is there: the first one of a process draws from torch's generator too.
        _seed_generators(settings.seed, state.step, micro_batch, accelerator.process_index)
        with accelerator.accumulate(training_step):
            losses = training_step(batch)
            accelerator.backward(losses["loss"])
            if accelerator.sync_gradients:
                norm = accelerator.clip_grad_norm_(state.parameters.values(), settings.gradient_clip)
                means["gradient_norm"] = whole(norm)
            optimizer.step()
            optimizer.zero_grad()
        for key, value in losses.items():
            means[key] = means.get(key, 0.0) + value.detach().float() / settings.gradient_accumulation
    # One exchange between the processes and one wait for the device, for all values together.
    stops = torch.tensor(float(stop.is_requested), device=accelerator.device)
    *values, stopping = accelerator.reduce(torch.stack([*means.values(), stops]), "mean").tolist()
    return dict(zip(means, values, strict=True)), stopping > 0


def _seed_generators(*numbers: int) -> None:
    """Let what a network draws, as for dropout, be a function of the step: it is the same after a resume."""
    set_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


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
