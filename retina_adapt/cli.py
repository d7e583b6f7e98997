"""`retina-adapt`: each verb a call of one function."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retina_adapt import __version__
from retina_adapt.cli_adaptors import adaptors_app
from retina_adapt.cli_recipes import recipes_app
from retina_adapt.cli_runs import runs_app
from retina_adapt.commands.batch import BatchResult
from retina_adapt.errors import RetinaAdaptError, in_one_line

app = typer.Typer(
    help="Parameter-efficient fine-tuning for retinal image enhancement.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(recipes_app, name="recipes")
app.add_typer(adaptors_app, name="adaptors")
app.add_typer(runs_app, name="runs")
# Brackets in names and messages are no markup: pip install '.[app]'.
console = Console(stderr=True, markup=False)


class Mode(StrEnum):
    """How to enhance."""

    FAST = "fast"
    DIFFUSION = "diffusion"


class DetailChoice(StrEnum):
    """Where detail finer than the backbone's frame comes from."""

    KEPT = "kept"
    GUIDED = "guided"
    FINE = "fine"
    TILES = "tiles"


class PrecisionChoice(StrEnum):
    """What the network computes in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class FieldOfViewChoice(StrEnum):
    """Where to look for the field of view."""

    AUTO = "auto"
    CIRCLE = "circle"
    FULL_FRAME = "full_frame"


def _complete_adaptor(incomplete: str) -> list[str]:
    from retina_adapt.embedded import embedded_names

    return [name for name in [*embedded_names("adaptors"), "auto"] if name.startswith(incomplete)]


def _complete_preset(incomplete: str) -> list[str]:
    from retina_adapt.degradations import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


Source = Annotated[Path, typer.Argument(help="A photograph, or a folder of them, searched with its subfolders.")]
Output = Annotated[Path, typer.Argument(help="Folder for the results.")]
Shape = Annotated[FieldOfViewChoice, typer.Option(help="Shape of the field of view; full_frame where there is none.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same results.")]


@app.command(
    epilog="Examples: retina-adapt enhance photographs enhanced --adaptor light · "
    "retina-adapt enhance 'scans/**/*.tif' enhanced --adaptor auto --report report.html · "
    "accelerate launch -m retina_adapt enhance archive enhanced --adaptor haze"
)
def enhance(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Photographs, folders, searched with their subfolders, or quoted patterns with * and **."),
    ],
    output: Output,
    adaptor: Annotated[
        list[str],
        typer.Option(
            help="An embedded adaptor, an adaptor's path, NAME=PATH to name it yourself, or auto, the one each needs; "
            "may be repeated.",
            autocompletion=_complete_adaptor,
        ),
    ],
    then: Annotated[
        list[str] | None,
        typer.Option(
            help="A further adaptor that each result goes through after that: --adaptor mixed --then blur; may be "
            "repeated.",
            autocompletion=_complete_adaptor,
        ),
    ] = None,
    backbone: Annotated[str, typer.Option(help="An embedded backbone or a backbone folder.")] = "nano",
    mode: Annotated[Mode, typer.Option(help="fast: one pass; diffusion: sampled in a few steps.")] = Mode.FAST,
    steps: Annotated[int | None, typer.Option(min=1, help="Sampling steps in the mode diffusion; 4.")] = None,
    seed: Seed = 0,
    scheduler: Annotated[str | None, typer.Option(help="A diffusers scheduler, for the mode diffusion.")] = None,
    detail: Annotated[
        DetailChoice,
        typer.Option(help="Detail: kept, guided by what changed around it, of a fine second look, or tiles."),
    ] = DetailChoice.FINE,
    working_size: Annotated[
        int | None, typer.Option(min=64, help="For tiles: side in pixels of the copy that they are of; 1024.")
    ] = None,
    tile_size: Annotated[
        int | None, typer.Option(min=64, help="For tiles: side of one; the backbone's frame size.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Tiles that go through the network at once.")] = 4,
    precision: Annotated[PrecisionChoice, typer.Option(help="bfloat16: half precision.")] = PrecisionChoice.FLOAT32,
    field_of_view: Shape = FieldOfViewChoice.AUTO,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of known fields of view, named as the photographs.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps, …")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Threads that read, and as many that write.")] = 2,
    router: Annotated[Path | None, typer.Option(help="A router's folder for auto; else the embedded one.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write one HTML page on all results: report.html.")] = None,
    report_seeds: Annotated[int, typer.Option(min=1, help="Versions for its uncertainty map, with diffusion.")] = 1,
    skip_existing: Annotated[bool, typer.Option(help="Leave every result that is there, whatever made it.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Enhance again what is done already.")] = False,
    json_summary: Annotated[bool, typer.Option("--json", help="Print the summary as JSON to standard output.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print errors only.")] = False,
    verbose: Annotated[bool, typer.Option(help="Print a line for each photograph.")] = False,
) -> None:
    """Enhance photographs; size and bit depth stay, and so does everything outside the field of view.

    A photograph whose file says that it lies on its side is written upright.

    JPEG alone loses a little everywhere, as always when it is written again. The same command resumes an interrupted
    run. Exit status: 0 all done, 1 some failed, 3 all failed, 2 a mistake in the command. OUTPUT/summary.json and
    summary.csv tell what became of each photograph.
    """
    from retina_adapt.commands.enhance import enhance_photographs

    result = enhance_photographs(
        sources,
        output,
        adaptors=adaptor,
        then=then or [],
        backbone=backbone,
        mode=mode.value,
        steps=steps,
        seed=seed,
        scheduler=scheduler,
        detail=detail.value,
        working_size=working_size,
        tile_size=tile_size,
        batch_size=batch_size,
        precision=precision.value,
        field_of_view=field_of_view.value,
        masks=masks,
        device=device,
        console=Console(quiet=True, markup=False) if quiet else console,
        workers=workers,
        skip_existing=skip_existing,
        overwrite=overwrite,
        verbose=verbose,
        router=router,
        report=report,
        report_seeds=report_seeds,
    )
    if json_summary and result.summary is not None:
        print(result.summary.read_text(encoding="utf-8"))
    if report is not None and not quiet and not result.is_of_another_process:
        console.print(f"{report}: report", highlight=False, soft_wrap=True)
    _finish(result, output, quiet=quiet)


@app.command("app", epilog="Example: retina-adapt app --adaptor light --adaptor adaptors/mine")
def open_app(
    adaptor: Annotated[
        list[str] | None,
        typer.Option(help="An embedded adaptor, a path, or NAME=PATH; may be repeated. All embedded by default."),
    ] = None,
    backbone: Annotated[str, typer.Option(help="An embedded backbone or a backbone folder.")] = "nano",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps, …")] = "auto",
    browser: Annotated[bool, typer.Option(help="Open the page in your browser.")] = True,
) -> None:
    """Enhance photographs in a browser, on this machine alone. Needs the extra `app`."""
    from retina_adapt.commands.open_app import run_app_or_explain

    run_app_or_explain(
        adaptors=adaptor, backbone=backbone, port=port, device=device, open_browser=browser, announce=console.print
    )


@app.command(epilog="Example: retina-adapt degrade photographs degraded --preset haze --seed 7")
def degrade(
    source: Source,
    output: Output,
    preset: Annotated[
        str | None,
        typer.Option(
            help="What to simulate, mixed by default; 'retina-adapt presets' lists them.",
            autocompletion=_complete_preset,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the draws, 0 by default.")] = None,
    severity: Annotated[float | None, typer.Option(min=0, max=1, help="By default drawn for each photograph.")] = None,
    replay: Annotated[
        Path | None, typer.Option(help="A degradations.json of an earlier run, applied again instead of drawing.")
    ] = None,
    field_of_view: Shape = FieldOfViewChoice.AUTO,
) -> None:
    """Simulate faults on clear photographs; OUTPUT/degradations.json records what was drawn."""
    from retina_adapt.commands.degrade import degrade_photographs

    result = degrade_photographs(
        source,
        output,
        preset=preset,
        seed=seed,
        severity=severity,
        replay=replay,
        field_of_view=field_of_view.value,
        console=console,
    )
    _finish(result, output)


@app.command("check-pairs", epilog="Example: retina-adapt check-pairs pairs/low pairs/high")
def check_pairs(
    low: Annotated[Path, typer.Argument(help="Folder of the low-quality photographs.")],
    high: Annotated[Path, typer.Argument(help="Folder of the clear ones, of the same names.")],
    field_of_view: Shape = FieldOfViewChoice.AUTO,
) -> None:
    """Tell pairs that show another eye, or are shifted against each other, before they are trained on."""
    from retina_adapt.commands.check_pairs import LARGEST_SHIFT
    from retina_adapt.commands.check_pairs import check_pairs as check

    checked = check(low, high, field_of_view=field_of_view.value, console=console)
    for line in [*checked.broken, *checked.doubts]:
        console.print(f"doubtful: {line}", style="yellow", highlight=False, soft_wrap=True)
    good = len(checked.alignments) - len(checked.doubts)
    pairs = len(checked.alignments) + len(checked.broken)
    console.print(f"{good} of {pairs} pairs agree to {LARGEST_SHIFT:.1%} of the eye's width", highlight=False)
    if checked.doubts or checked.broken:
        raise typer.Exit(1)


@app.command("split-pairs", epilog="Example: retina-adapt split-pairs dim clear pairs --patient '^[^_]+'")
def split_pairs(
    low: Annotated[Path, typer.Argument(help="Folder of the low-quality photographs.")],
    high: Annotated[Path, typer.Argument(help="Folder of the clear ones, of the same names.")],
    output: Annotated[Path, typer.Argument(help="New folder for copies: low, high, validation/low, test/low, ...")],
    patient: Annotated[
        str, typer.Option(help="Regular expression that finds the patient in a file's name: '^[^_]+' in p7_left.jpg.")
    ],
    validation: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the pairs to validate with.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the pairs to test with at the end.")] = 0.2,
    seed: Seed = 0,
) -> None:
    """Divide pairs by patient, so that no eye is trained on and tested with."""
    from retina_adapt.commands.split_pairs import split_pairs as split

    splits = split(low, high, output, patient=patient, validation=validation, test=test, seed=seed)
    for name, part in splits.items():
        console.print(
            f"{name}: {part.pairs} pairs of {len(part.patients)} patients ({', '.join(part.patients)})",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


@app.command()
def presets() -> None:
    """List the degradation presets: what each does, in which order, how strongly."""
    from retina_adapt.degradations import describe_preset, preset_names

    for name in preset_names():
        print(f"{name}: {describe_preset(name)}")


@app.command(epilog="Example: retina-adapt draw photographs --count 20")
def draw(
    output: Output,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=64, max=4096, help="Side in pixels.")] = 512,
) -> None:
    """Draw fundus photographs, for a machine with none at hand."""
    from retina_adapt.commands.draw import draw_photographs

    written = draw_photographs(output, count=count, seed=seed, size=size)
    console.print(f"{output}: {len(written)} drawn photographs")


@app.command(epilog="Example: retina-adapt demo demonstration --photographs my_clear_photographs")
def demo(
    output: Output,
    photographs: Annotated[Path | None, typer.Option(help="Clear photographs, at least ten; else drawn.")] = None,
    degradation: Annotated[str, typer.Option(help="light, haze, blur, spots or mixed.")] = "light",
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 300,
    seed: Seed = 0,
) -> None:
    """Show the whole path: degrade, fine-tune an adaptor, enhance held-out photographs, compare."""
    from retina_adapt.commands.demo import run_demo

    sheet = run_demo(output, photographs=photographs, degradation=degradation, steps=steps, seed=seed, console=console)
    console.print(f"Picture sheet: {sheet}", style="bold")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"retina-adapt {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    """Parameter-efficient fine-tuning for retinal image enhancement."""


def _finish(result: BatchResult, output: Path, *, quiet: bool = False) -> None:
    """Say what was written and what failed; failures make the exit status 1, nothing but failures 3."""
    if not quiet and not result.is_of_another_process:
        console.print(f"{output}: {_photographs(len(result.written))} written", highlight=False, soft_wrap=True)
        if result.skipped:
            console.print(f"{output}: {len(result.skipped)} were done before", highlight=False, soft_wrap=True)
        for warning in result.warnings:
            console.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
    for failure in result.failures:
        console.print(f"failed: {failure}", style="red", highlight=False, soft_wrap=True)
    if result.failures:
        raise typer.Exit(1 if result.written or result.skipped else 3)


def _photographs(count: int) -> str:
    return "1 photograph" if count == 1 else f"{count} photographs"


def main() -> None:
    """Run the command line; an error that the user can mend is one line and exit status 2."""
    try:
        app()
    except (RetinaAdaptError, OSError) as error:
        console.print(in_one_line(error), style="red", highlight=False, soft_wrap=True)
        sys.exit(2)
