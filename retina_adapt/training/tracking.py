"""Start a run, and log what it shows to the trackers."""

import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from torch.utils.tensorboard.summary import hparams

from retina_adapt.configuration import configuration_to_dict, store_configuration
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean
from retina_adapt.training.continuation import require_same_run
from retina_adapt.training.event_files import discard_entries_after
from retina_adapt.training.gather import fail_together
from retina_adapt.training.run_record import flattened, write_run


class TrackerError(RetinaAdaptError):
    """A tracker that Accelerate does not know, or whose package is not installed."""


@dataclass
class TrackingSettings:
    """Where a run is logged.

    Args:
        trackers: names of Accelerate's trackers, such as tensorboard, wandb, mlflow or trackio; install their packages
            yourself, except tensorboard's. An empty list tracks nothing.
        options: further options that a tracker is started with, by its name, e.g.
            {wandb: {entity: my_group, tags: [pairs]}}.
    """

    trackers: list[str] = field(default_factory=lambda: ["tensorboard"])
    options: dict[str, dict[str, str | int | float | bool | list[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        installed = [str(tracker) for tracker in get_available_trackers()]
        for name in self.trackers:
            if name not in LOGGER_TYPE_TO_CLASS:
                raise TrackerError(
                    f"tracking.trackers: Accelerate has no tracker '{name}'{did_you_mean(name, LOGGER_TYPE_TO_CLASS)}"
                )
            if name not in installed and importlib.util.find_spec(name) is None:
                raise TrackerError(f"tracking.trackers: '{name}' is not installed; install its package")
        for name in self.options:
            if name not in self.trackers:
                raise TrackerError(f"tracking.options: '{name}' is none of the trackers {self.trackers}")


@dataclass
class Validation:
    """One validation: scores by name, and pictures (height, width, 3), uint8, by name.

    `step` is how many optimiser steps the validated weights have seen; the loop sets it.
    """

    scores: dict[str, float]
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    step: int = 0


def start_run(
    accelerator: Accelerator, configuration: Any, output_folder: str | Path, tracking: TrackingSettings
) -> None:
    """Start the accelerator's trackers, print the resolved configuration, and record the run in `run.json`.

    Args:
        tracking: gives the options of the trackers; the trackers themselves are the accelerator's `log_with`.

    Raises:
        CheckpointError: the folder holds checkpoints of another configuration; raised on all processes.
    """
    output_folder = Path(output_folder)

    def check() -> None:
        # The other processes might see what the main one is about to write.
        if accelerator.is_main_process:
            for doubt in require_same_run(configuration, output_folder):
                accelerator.print(
                    f"warning: {doubt}. To start again, delete {output_folder / 'checkpoints'} or use another "
                    "output_folder"
                )

    fail_together(accelerator, check)
    names = {str(tracker) for tracker in accelerator.log_with}
    # The name of TensorBoard's folder, or of the project if a tracker has projects.
    project = "tensorboard" if names <= {"tensorboard"} else "retina_adapt"
    accelerator.init_trackers(project, init_kwargs=tracking.options)
    if not accelerator.is_main_process:
        return
    values = configuration_to_dict(configuration)
    _log_hyperparameters(accelerator, values)
    accelerator.print(json.dumps(values, indent=2))
    store_configuration(configuration, output_folder / "config.yaml")
    write_run(accelerator, configuration, output_folder)


def log_validation(
    accelerator: Accelerator, name: str, validation: Validation, step: int, norms: dict[str, float]
) -> None:
    """Send scores, pictures and the trained tensors' norms to the trackers, with `name` as prefix of the tags."""
    entries = {f"{name}/validation/{key}": value for key, value in validation.scores.items()}
    entries[f"{name}/parameter_norm"] = float(np.linalg.norm(list(norms.values())))
    accelerator.log(entries, step=step)
    if not accelerator.is_main_process:
        return
    for tracker in accelerator.trackers:
        pictures = {f"{name}/{key}": picture[None] for key, picture in validation.pictures.items()}
        if tracker.name == "tensorboard":
            tracker.log_images(pictures, step=step, dataformats="NHWC")
            tracker.writer.add_histogram(f"{name}/parameter_norms", np.array(list(norms.values())), global_step=step)
            tracker.writer.flush()
        elif pictures and hasattr(tracker, "log_images"):
            tracker.log_images(pictures, step=step)


def forget_entries_after(accelerator: Accelerator, name: str, step: int) -> None:
    """Remove what the training `name` logged after the step it resumes from, so that no step is logged twice."""
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard" and accelerator.is_main_process:
            tracker.writer.flush()
            discard_entries_after(Path(tracker.writer.log_dir), name, step)


def _log_hyperparameters(accelerator: Accelerator, values: dict[str, Any]) -> None:
    plain = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in flattened(values).items()
    }
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard":
            # The tracker's own method would log them as a second run, in a folder named after the time.
            for summary in hparams(plain, {}):
                tracker.writer.file_writer.add_summary(summary)
        else:
            tracker.store_init_configuration(plain)
