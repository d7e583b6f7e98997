"""`retina-adapt runs`: which training runs there are, how they were made, and how they differ."""

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.configuration import DRY_RUN_FIELD
from retina_adapt.training.curves import Curve, draw_curves, read_curves
from retina_adapt.training.run_record import RUN_FILE, RunRecordError, flattened, read_run


@dataclass(frozen=True)
class RunComparison:
    """Runs side by side.

    Attributes:
        folders: the runs' folders.
        settings: settings that differ, by dotted name, with a value for each run; None where a run has none.
        scores: scores of the last validation, by `<training>/<score>`, likewise.
    """

    folders: list[str]
    settings: dict[str, list[Any]]
    scores: dict[str, list[float | None]]


def find_runs(folder: Path) -> dict[Path, dict[str, Any]]:
    """The records of all runs in a folder and its subfolders, by run folder; a damaged one holds only a "problem".

    Raises:
        RunRecordError: there is no such folder.
    """
    if not folder.is_dir():
        raise RunRecordError(f"{folder}: no such folder; give one that trainings wrote to, their output_folder")
    found = {}
    for file in sorted(folder.rglob(RUN_FILE)):
        try:
            found[file.parent] = read_run(file.parent)
        except RunRecordError as error:
            # Other programs write files of this name too; such a file must not hide the runs.
            found[file.parent] = {"problem": str(error)}
    return found


def run_table(runs: dict[Path, dict[str, Any]]) -> Table:
    """A line for each training of each run: where it stands, and its last scores."""
    # A path that is cut off could be another run's.
    run = Column("run", overflow="fold")
    table = Table(run, "training", "status", "step", "scores", "started", box=None, pad_edge=False)
    for folder, record in runs.items():
        if "problem" in record:
            table.add_row(str(folder), "", f"cannot be read: {record['problem']}", "", "", "")
            continue
        for name, progress in (record.get("trainings") or {"": {}}).items():
            step = f"{progress['step']}/{progress['steps']}" if progress else ""
            status = progress.get("status", "no training yet")
            if folder.name == DRY_RUN_FIELD and progress:
                # It rightly ends after two of the many steps in its record.
                status, step = "dry run", ""
            started = record.get("started", "")
            if started:
                started = f"{datetime.fromisoformat(started).astimezone():%Y-%m-%d %H:%M}"
            table.add_row(str(folder), name, status, step, _scores_text(progress.get("scores", {})), started)
    return table


def run_lines(record: dict[str, Any]) -> list[str]:
    """A record as `dotted.name: value` lines, with the number of its starts in place of their list."""
    shown = {key: value for key, value in record.items() if key != "starts"}
    return [*(f"{name}: {value}" for name, value in flattened(shown).items()), f"starts: {len(record['starts'])}"]


def compare_runs(folders: list[Path]) -> RunComparison:
    """Compare two or more runs: the settings that differ, and the last scores.

    Raises:
        RunRecordError: a folder holds no run, or fewer than two are given.
    """
    if len(folders) < 2:
        raise RunRecordError("a comparison needs at least two runs; 'retina-adapt runs list' shows what there is")
    records = [read_run(folder) for folder in folders]
    configurations = [flattened(record.get("config", {})) for record in records]
    return RunComparison(
        [str(folder) for folder in folders],
        {
            name: values
            for name, values in _side_by_side(configurations).items()
            if any(value != values[0] for value in values)
        },
        _side_by_side([_scores(record) for record in records]),
    )


def comparison_tables(comparison: RunComparison) -> list[Table]:
    """A table of the settings that differ, and one of the scores."""
    tables = []
    for title, values in (("setting", comparison.settings), ("score", comparison.scores)):
        table = Table(title, *comparison.folders, box=None, pad_edge=False)
        for name, cells in values.items():
            table.add_row(name, *("" if cell is None else _shown(cell) for cell in cells))
        tables.append(table)
    return tables


def plot_runs(folders: list[Path], path: Path, tag: str = "") -> list[str]:
    """Plot scalars of runs over their steps as SVG, and return the plotted tags.

    Args:
        tag: plot the tags that contain it, such as `psnr`; "" plots all.

    Raises:
        RunRecordError: no run has such a tag.
    """
    curves: dict[str, dict[str, Curve]] = {}
    for folder in folders:
        finite = {
            name: [(step, value) for step, value in curve if math.isfinite(value)]
            for name, curve in read_curves(folder).items()
            if tag in name
        }
        curves[str(folder)] = {name: curve for name, curve in finite.items() if curve}
    tags = sorted({name for found in curves.values() for name in found})
    if not tags:
        raise RunRecordError(f"no run has a scalar whose tag contains '{tag}' in TensorBoard's files")
    with write_file_atomically(path) as temporary:
        temporary.write_text(draw_curves(curves), encoding="utf-8")
    return tags


def _scores_text(scores: dict[str, float]) -> str:
    """Scores in one line; those known for degraded and enhanced photographs as `degraded -> enhanced`."""
    shown = []
    for name, value in scores.items():
        before = scores.get(f"{name}_degraded")
        if not name.endswith("_degraded"):
            shown.append(f"{name} {value:.4g}" if before is None else f"{name} {before:.4g} -> {value:.4g}")
    return ", ".join(shown)


def _scores(record: dict[str, Any]) -> dict[str, float]:
    return {
        f"{training}/{name}": value
        for training, progress in record.get("trainings", {}).items()
        for name, value in progress.get("scores", {}).items()
    }


def _side_by_side(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
