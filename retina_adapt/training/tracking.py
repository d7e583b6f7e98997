"""What a run leaves behind: tracker entries, and a record of what it was run with."""

import json
import platform
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.configuration import configuration_to_dict, store_configuration
from retina_adapt.training.event_files import discard_entries_after

RECORDED_PACKAGES = ("retina-adapt", "torch", "diffusers", "peft", "accelerate", "datasets", "numpy")


@dataclass
class Validation:
    """One validation: scores by name, and pictures (height, width, 3), uint8, by name."""

    scores: dict[str, float]
    pictures: dict[str, np.ndarray] = field(default_factory=dict)


def start_run(accelerator: Accelerator, configuration: Any, output_folder: str | Path) -> None:
    """Start the trackers; print the resolved configuration and store it with versions and hardware."""
    output_folder = Path(output_folder)
    accelerator.init_trackers("tensorboard")
    if not accelerator.is_main_process:
        return
    values = configuration_to_dict(configuration)
    accelerator.print(json.dumps(values, indent=2))
    store_configuration(configuration, output_folder / "config.yaml")
    record = {
        "configuration_class": type(configuration).__name__,
        "config": values,
        "versions": {name: metadata.version(name) for name in RECORDED_PACKAGES if _is_installed(name)},
        "python": platform.python_version(),
        "device": str(accelerator.device),
        "processes": accelerator.num_processes,
    }
    with write_file_atomically(output_folder / "run.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def log_validation(accelerator: Accelerator, name: str, validation: Validation, step: int) -> None:
    """Send scores and pictures to the trackers, tags prefixed with the run's `name`."""
    accelerator.log({f"{name}/validation/{key}": value for key, value in validation.scores.items()}, step=step)
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard" and accelerator.is_main_process:
            pictures = {f"{name}/{key}": picture[None] for key, picture in validation.pictures.items()}
            tracker.log_images(pictures, step=step, dataformats="NHWC")


def forget_entries_after(accelerator: Accelerator, name: str, step: int) -> None:
    """Remove what the training `name` had logged after the step it resumes from, so that no step is there twice."""
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard" and accelerator.is_main_process:
            tracker.writer.flush()
            discard_entries_after(Path(tracker.writer.log_dir), name, step)


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
