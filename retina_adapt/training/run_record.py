"""`run.json`: what a run was made with and how far it got."""

import hashlib
import inspect
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from glob import glob
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.configuration import configuration_to_dict
from retina_adapt.errors import RetinaAdaptError

RUN_FILE = "run.json"
RECORDED_PACKAGES = ("retina-adapt", "torch", "diffusers", "peft", "accelerate", "datasets", "numpy")
_PATH_KEYS = ("path", "low_folder", "high_folder")
Status = Literal["running", "finished", "finished early", "stopped"]


class RunRecordError(RetinaAdaptError):
    """A run.json that is missing or cannot be read."""


def read_run(folder: str | Path) -> dict[str, Any]:
    """The record of the run in `folder`.

    Raises:
        RunRecordError: there is none, or it is damaged.
    """
    file = Path(folder) / RUN_FILE
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunRecordError(f"{folder}: is not the folder of a run: it holds no {RUN_FILE}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunRecordError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(record, dict):
        raise RunRecordError(f"{file}: holds no JSON object; it is not the record of a run")
    if not isinstance(record.get("starts"), list) or not isinstance(record.get("trainings"), dict):
        raise RunRecordError(f"{file}: lacks the starts and trainings of a run; another program may have written it")
    return record


def write_run(accelerator: Accelerator, configuration: Any, output_folder: Path) -> None:
    """Record a start of the run; earlier starts stay listed.

    The record holds the resolved configuration, seeds, versions, git commit, data, recipe and hardware.
    """
    values = configuration_to_dict(configuration)
    start = {
        "started": _now(),
        "versions": {name: metadata.version(name) for name in RECORDED_PACKAGES if _is_installed(name)},
        "python": platform.python_version(),
        "git": git_state(Path(sys.argv[0]).resolve().parent),
        "device": str(accelerator.device),
        "processes": accelerator.num_processes,
        "hardware": _hardware(),
    }
    earlier = read_run(output_folder) if (output_folder / RUN_FILE).is_file() else {}
    record = {
        "configuration_class": type(configuration).__name__,
        "config": values,
        "seeds": {name: value for name, value in flattened(values).items() if name.split(".")[-1] == "seed"},
        "data": data_fingerprints(values),
        "recipe": recipe_of(configuration),
        **start,
        "starts": [*earlier.get("starts", []), start],
        "trainings": earlier.get("trainings", {}),
    }
    _write(output_folder, record)


def note_progress(
    output_folder: Path, training: str, *, status: Status, step: int, steps: int, scores: dict[str, float] | None = None
) -> None:
    """Note how far a training of the run has got; does nothing in a folder without a run. One process calls this.

    A killed run keeps the status "running", with the step and the scores noted last.
    """
    if not (output_folder / RUN_FILE).is_file():
        return
    record = read_run(output_folder)
    progress = record.setdefault("trainings", {}).setdefault(training, {})
    progress |= {"status": status, "step": step, "steps": steps, "noted": _now()}
    if scores is not None:
        progress["scores"] = scores
    _write(output_folder, record)


def flattened(values: Any, name: str = "") -> dict[str, Any]:
    """Nested values by dotted name: `data.train.0.path`."""
    if isinstance(values, dict):
        parts: Iterator[tuple[Any, Any]] = iter(values.items())
    elif isinstance(values, list):
        parts = enumerate(values)
    else:
        return {name: values}
    found: dict[str, Any] = {}
    for key, value in parts:
        found |= flattened(value, f"{name}.{key}" if name else str(key))
    return found


def data_fingerprints(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The number of files, their bytes and their fingerprint, for each local source that a configuration names.

    The fingerprint is the sha256 over the files' names and sizes, which avoids reading millions of images but misses a
    change that keeps a file's size. Sources that are not on this machine are left out: their revisions are in the
    configuration.
    """
    sources = {
        value
        for name, value in flattened(values).items()
        if name.split(".")[-1] in _PATH_KEYS and isinstance(value, str)
    }
    found = {}
    for source in sorted(sources):
        files = sorted(_files(source))
        if files:
            lines = "".join(f"{name}\0{size}\n" for name, size in files)
            found[source] = {
                "files": len(files),
                "bytes": sum(size for _, size in files),
                "sha256": hashlib.sha256(os.fsencode(lines)).hexdigest(),
            }
    return found


def recipe_of(configuration: Any) -> dict[str, str] | None:
    """File and sha256 of the script that defines the configuration's class; None in a notebook."""
    try:
        file = Path(inspect.getfile(type(configuration)))
        return {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    except (TypeError, OSError):
        return None


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that `folder` lies in, and whether tracked files have changed since; None outside one."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "modified": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


def _files(source: str) -> Iterator[tuple[str, int]]:
    """Yield each file's name, relative to the source, and its size."""
    path = Path(source).expanduser()
    for root in [path] if path.exists() else glob(str(path)):  # noqa: PTH207 - the pattern may be absolute
        if Path(root).is_file():
            yield Path(root).name, Path(root).stat().st_size
        for folder, _, names in os.walk(root, followlinks=True):
            for name in names:
                path = Path(folder) / name
                if path.is_file():
                    yield path.relative_to(root).as_posix(), path.stat().st_size


def _hardware() -> dict[str, Any]:
    hardware: dict[str, Any] = {"machine": platform.machine(), "processors": os.cpu_count()}
    if hasattr(os, "sysconf"):
        hardware["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    if torch.cuda.is_available():
        hardware["gpu"] = torch.cuda.get_device_name()
        hardware["gpu_memory_gib"] = round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1)
    return hardware


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(output_folder: Path, record: dict[str, Any]) -> None:
    with write_file_atomically(output_folder / RUN_FILE) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
