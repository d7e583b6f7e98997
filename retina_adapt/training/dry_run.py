"""Estimate what a full run would take by trying out a few steps, a checkpoint and a validation."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil
import torch
from torch import nn

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.training.gather import fail_together
from retina_adapt.training.interruption import StopRequest
from retina_adapt.training.optimization import Batch, take_step
from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.supervision import Supervision
from retina_adapt.training.tracking import Validation

STEPS_TRIED = 2
"""A process's first step includes setting up; the second one is timed."""


@dataclass(frozen=True)
class DryRunReport:
    """Figures of one process.

    Attributes:
        parameters: number of parameters of the training step, frozen ones included.
        trainable_parameters: number of those that the optimiser changes.
        peak_memory_bytes: on a GPU, the most that torch reserved; otherwise the most main memory the process held, data
            included.
        workers: number of processes that prepare batches.
        seconds_per_step: for all its micro-batches; without workers, their preparation included.
        seconds_per_validation: for the whole validation data.
        seconds_per_checkpoint: to write one.
        checkpoint_bytes: size of one.
        seconds_in_all: for the full run, with its validations and checkpoints, if all steps took as long as the timed
            one.
    """

    parameters: int
    trainable_parameters: int
    peak_memory_bytes: int
    workers: int
    seconds_per_step: float
    seconds_per_validation: float
    seconds_per_checkpoint: float
    checkpoint_bytes: int
    seconds_in_all: float

    def lines(self) -> list[str]:
        """The report as lines of text."""
        gib = 2**30
        # The batches of the steps tried were ready, or nearly so, when the first step ended.
        condition = f", if {self.workers} workers prepare batches in time" if self.workers else ""
        return [
            f"parameters: {self.parameters:,}, of which {self.trainable_parameters:,} are trained",
            f"peak memory: {self.peak_memory_bytes / gib:.2f} GiB per process",
            f"a step: {self.seconds_per_step:.3g} s; a validation: {self.seconds_per_validation:.3g} s",
            f"a checkpoint: {self.seconds_per_checkpoint:.3g} s, {self.checkpoint_bytes / 2**20:.1f} MiB",
            f"a full run: at most about {_duration(self.seconds_in_all)}{condition}",
        ]


def try_out(
    supervision: Supervision, prepared_step: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterator[Batch]
) -> Validation:
    """Take the first steps, write and remove a checkpoint, validate, and print what a full run would take."""
    accelerator, settings, state = supervision.accelerator, supervision.settings, supervision.state
    if accelerator.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(accelerator.device)
    seconds = []
    for _ in range(min(STEPS_TRIED, settings.steps)):
        started = time.perf_counter()
        losses, _ = take_step(
            prepared_step, optimizer, accelerator, settings, state, batches, stop=StopRequest(), all_are_used=True
        )
        state.step += 1
        supervision.refuse_divergence(losses)
        seconds.append(time.perf_counter() - started)
    # In a folder of its own, so that the checkpoints of an earlier training stay.
    checkpoints = replace(supervision.checkpoints, folder=supervision.checkpoints.folder.with_suffix(".dry_run"))
    is_main = accelerator.is_main_process
    started, size = time.perf_counter(), 0
    fail_together(accelerator, lambda: checkpoints.save(state, writes=is_main))
    seconds_per_checkpoint = time.perf_counter() - started
    if is_main and (checkpoint := checkpoints.newest()) is not None:
        size = sum(file.stat().st_size for file in checkpoint.iterdir())
        shutil.rmtree(checkpoints.folder)
    accelerator.wait_for_everyone()
    started = time.perf_counter()
    validation = supervision.validate()
    report = report_of(
        supervision.training_step,
        settings,
        accelerator.device,
        # A training without steps is only a validation.
        seconds_per_step=seconds[-1] if seconds else 0.0,
        seconds_per_validation=time.perf_counter() - started,
        seconds_per_checkpoint=seconds_per_checkpoint,
        checkpoint_bytes=size,
    )
    accelerator.print("\n".join([f"{supervision.name}, dry run:", *(f"  {line}" for line in report.lines())]))
    if is_main:
        store_report(report, supervision.output_folder, supervision.name)
    return validation


def report_of(
    training_step: nn.Module,
    settings: TrainingSettings,
    device: torch.device,
    *,
    seconds_per_step: float,
    seconds_per_validation: float,
    seconds_per_checkpoint: float,
    checkpoint_bytes: int,
) -> DryRunReport:
    """The report from the measured seconds."""
    validated = {*range(settings.validate_every, settings.steps + 1, settings.validate_every), settings.steps}
    kept = validated | set(range(settings.checkpoint_every, settings.steps + 1, settings.checkpoint_every))
    in_all = (
        settings.steps * seconds_per_step + len(validated) * seconds_per_validation + len(kept) * seconds_per_checkpoint
    )
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in training_step.parameters()]
    return DryRunReport(
        parameters=sum(size for size, _ in sizes),
        trainable_parameters=sum(size for size, is_trained in sizes if is_trained),
        peak_memory_bytes=peak_memory_bytes(device),
        workers=settings.workers,
        seconds_per_step=seconds_per_step,
        seconds_per_validation=seconds_per_validation,
        seconds_per_checkpoint=seconds_per_checkpoint,
        checkpoint_bytes=checkpoint_bytes,
        seconds_in_all=in_all,
    )


def store_report(report: DryRunReport, output_folder: Path, training: str) -> None:
    """Write `output_folder/dry_run_<training>.json`."""
    with write_file_atomically(output_folder / f"dry_run_{training}.json") as temporary:
        temporary.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory that this process has held: on its GPU, since the last reset, or else in main memory."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else process_peak_bytes()


def process_peak_bytes() -> int:
    """The most main memory that this process has held so far."""
    try:
        import resource
    except ModuleNotFoundError:
        # Windows, the only system where psutil has this figure.
        return int(psutil.Process().memory_info().peak_wset)  # type: ignore[attr-defined]
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
