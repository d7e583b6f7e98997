"""The command line `retina-adapt`: each verb calls one function."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from retina_adapt import __version__
from retina_adapt.cli_adaptors import adaptors_app
from retina_adapt.cli_recipes import recipes_app
from retina_adapt.cli_runs import runs_app
from retina_adapt.cli_shared import Output, Seed, Shape, console, finish
from retina_adapt.cli_training_data import training_data_app
from retina_adapt.errors import RetinaAdaptError, in_one_line, ran_out_of_memory

app = typer.Typer(
    help="Parameter-efficient fine-tuning for retinal image enhancement.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(training_data_app)
app.add_typer(recipes_app, name="recipes")
app.add_typer(adaptors_app, name="adaptors")
app.add_typer(runs_app, name="runs")


def _complete_adaptor(incomplete: str) -> list[str]:
    from retina_adapt.embedded import embedded_names

    return [name for name in [*embedded_names("adaptors"), "auto"] if name.startswith(incomplete)]


@app.command(
    epilog="Examples: retina-adapt enhance photographs enhanced --adaptor light · "
    "retina-adapt enhance 'scans/**/*.tif' enhanced --adaptor auto --report report.html · "
    "accelerate launch -m retina_adapt enhance archive enhanced --adaptor haze"
)
def enhance(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Photographs, folders (searched with their subfolders), or quoted patterns with * and **."),
    ],
    output: Output,
    adaptor: Annotated[
        list[str],
        typer.Option(
            help="An embedded adaptor, an adaptor's path, NAME=PATH to name it yourself, or auto for the one that each "
            "photograph needs; may be repeated.",
            autocompletion=_complete_adaptor,
        ),
    ],
    then: Annotated[
        list[str] | None,
        typer.Option(
            help="A further adaptor that each result goes through, as in --adaptor mixed --then blur; may be repeated.",
            autocompletion=_complete_adaptor,
        ),
    ] = None,
    backbone: Annotated[str, typer.Option(help="An embedded backbone or a backbone folder.")] = "nano",
    mode: Annotated[
        Literal["fast", "diffusion"], typer.Option(help="fast: one pass; diffusion: sampled in a few steps.")
    ] = "fast",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Sampling steps in the mode diffusion, 4 by default.")
    ] = None,
    seed: Seed = 0,
    scheduler: Annotated[str | None, typer.Option(help="A diffusers scheduler, for the mode diffusion.")] = None,
    detail: Annotated[
        Literal["kept", "guided", "fine", "tiles"],
        typer.Option(
            help="Finer detail: kept as it is, guided by the change around it, fine from a second look at twice the "
            "size, or from tiles."
        ),
    ] = "fine",
    working_size: Annotated[
        int | None,
        typer.Option(min=64, help="For tiles: side in pixels of the copy they are cut from, 1024 by default."),
    ] = None,
    tile_size: Annotated[
        int | None,
        typer.Option(min=64, help="For tiles: side in pixels of a tile, the backbone's frame size by default."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Tiles that the network takes at once.")] = 4,
    precision: Annotated[Literal["float32", "bfloat16"], typer.Option(help="bfloat16: half precision.")] = "float32",
    field_of_view: Shape = "auto",
    masks: Annotated[
        Path | None, typer.Option(help="Folder of masks of known fields of view, named as the photographs.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps, …")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Number of threads that read, and of threads that write.")] = 2,
    router: Annotated[
        Path | None, typer.Option(help="A router's folder, for auto; the embedded one by default.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write one HTML page on all results to this file.")] = None,
    report_seeds: Annotated[
        int, typer.Option(min=1, help="Versions for the report's uncertainty map, in the mode diffusion.")
    ] = 1,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave every existing result, whatever made it.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Enhance again even what is done already.")] = False,
    json_summary: Annotated[bool, typer.Option("--json", help="Print the summary as JSON to standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print a line for each photograph.")] = False,
) -> None:
    """Enhance photographs; size and bit depth stay, and so does everything outside the field of view.

    A photograph whose file says that the camera was turned is written upright.
    JPEG alone loses a little everywhere, as it does whenever it is encoded again.

    The same command resumes an interrupted run. OUTPUT/summary.json and summary.csv say what became of each photograph.
    Exit status: 0 all done, 1 some failed, 2 a mistake in the command, 3 all failed.
    """
    from retina_adapt.commands.enhance import enhance_photographs

    result = enhance_photographs(
        sources,
        output,
        adaptors=adaptor,
        then=then or [],
        backbone=backbone,
        mode=mode,
        steps=steps,
        seed=seed,
        scheduler=scheduler,
        detail=detail,
        working_size=working_size,
        tile_size=tile_size,
        batch_size=batch_size,
        precision=precision,
        field_of_view=field_of_view,
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
    if result.report is not None and not quiet:
        console.print(f"{result.report}: report")
    finish(result, output, quiet=quiet)


@app.command("app", epilog="Example: retina-adapt app --adaptor light --adaptor adaptors/mine")
def open_app(
    adaptor: Annotated[
        list[str] | None,
        typer.Option(help="An embedded adaptor, a path, or NAME=PATH; may be repeated. All embedded by default."),
    ] = None,
    backbone: Annotated[str, typer.Option(help="An embedded backbone or a backbone folder.")] = "nano",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 8765,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps, …")] = "auto",
    browser: Annotated[bool, typer.Option(help="Open the page in your browser.")] = True,
) -> None:
    """Enhance photographs in a browser, on this machine only. Needs the extra `app`."""
    from retina_adapt.commands.open_app import run_app_or_explain

    run_app_or_explain(
        adaptors=adaptor, backbone=backbone, port=port, device=device, open_browser=browser, announce=console.print
    )


@app.command(epilog="Example: retina-adapt demo demonstration --photographs my_clear_photographs")
def demo(
    output: Output,
    photographs: Annotated[
        Path | None, typer.Option(help="Clear photographs, at least ten; drawn ones by default.")
    ] = None,
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


def main() -> None:
    """Run the command line; an error that the user can fix is printed in one line, with exit status 2."""
    if not sys.stderr.isatty():
        # Otherwise the package `datasets` writes its progress bars into logs.
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        app()
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        console.print(
            "error: not enough memory; close other programs, raise the limit that was set for memory, or choose what "
            "needs less: a lower --batch-size, --workers 1, --detail guided",
            style="red",
        )
        sys.exit(2)
    except (RetinaAdaptError, OSError) as error:
        console.print(in_one_line(error), style="red")
        sys.exit(2)
