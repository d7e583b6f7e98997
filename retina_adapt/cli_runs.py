"""`retina-adapt runs`: the verbs for the records of training runs."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from retina_adapt.cli_shared import AsJson, answers, console

runs_app = typer.Typer(help="List, show and compare training runs.", no_args_is_help=True)

Run = Annotated[Path, typer.Argument(help="A run's output_folder.")]


@runs_app.command("list", epilog="Example: retina-adapt runs list runs")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="Folder to search, with its subfolders.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List runs: where each training stands, and its last scores."""
    from retina_adapt.commands.runs import find_runs, run_table

    runs = find_runs(folder)
    if as_json:
        print(json.dumps({str(run): record for run, record in runs.items()}, indent=2))
    else:
        answers.print(run_table(runs))


@runs_app.command(epilog="Example: retina-adapt runs show runs/light")
def show(run: Run, as_json: AsJson = False) -> None:
    """Print how a run was made and how far it got."""
    from retina_adapt.commands.runs import run_lines
    from retina_adapt.training.run_record import read_run

    record = read_run(run)
    print(json.dumps(record, indent=2) if as_json else "\n".join(run_lines(record)))


@runs_app.command(epilog="Example: retina-adapt runs compare runs/light runs/haze --plot psnr.svg --tag psnr")
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Output folders of two or more runs.")],
    plot: Annotated[Path | None, typer.Option(help="Draw the runs' curves to this SVG file.")] = None,
    tag: Annotated[str, typer.Option(help="Draw only scalars whose tag contains this.")] = "",
    as_json: AsJson = False,
) -> None:
    """Compare runs: the settings that differ, the last scores, and the curves."""
    from retina_adapt.commands.runs import compare_runs, comparison_tables, plot_runs

    comparison = compare_runs(runs)
    if as_json:
        print(json.dumps(dataclasses.asdict(comparison), indent=2))
    else:
        for table in comparison_tables(comparison):
            answers.print(table)
    if plot is not None:
        drawn = plot_runs(runs, plot, tag)
        console.print(f"{plot}: {', '.join(drawn)}")
