"""`retina-adapt`: the verbs that prepare photographs and pairs for training and testing."""

from pathlib import Path
from typing import Annotated

import typer

from retina_adapt.cli_shared import Output, Seed, Shape, console, counted, finish, warn

training_data_app = typer.Typer()


def _complete_preset(incomplete: str) -> list[str]:
    from retina_adapt.degradations import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


Source = Annotated[Path, typer.Argument(help="A photograph, or a folder of them, searched with its subfolders.")]


@training_data_app.command(epilog="Example: retina-adapt degrade photographs degraded --preset haze --seed 7")
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
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the draws, 0 by default.")] = None,
    severity: Annotated[float | None, typer.Option(min=0, max=1, help="Drawn for each photograph by default.")] = None,
    replay: Annotated[
        Path | None, typer.Option(help="An earlier run's degradations.json, to apply again instead of drawing.")
    ] = None,
    field_of_view: Shape = "auto",
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
        field_of_view=field_of_view,
        console=console,
    )
    finish(result, output)


@training_data_app.command("check-pairs", epilog="Example: retina-adapt check-pairs pairs/low pairs/high")
def check_pairs(
    low: Annotated[Path, typer.Argument(help="Folder of the low-quality photographs.")],
    high: Annotated[Path, typer.Argument(help="Folder of the clear ones, with the same names.")],
    field_of_view: Shape = "auto",
) -> None:
    """Find pairs that show two different eyes, or are shifted against each other, before training on them."""
    from retina_adapt.commands.check_pairs import LARGEST_SHIFT
    from retina_adapt.commands.check_pairs import check_pairs as check
    from retina_adapt.commands.photograph_list import unread_pictures

    checked = check(low, high, field_of_view=field_of_view, console=console)
    for line in [*checked.broken, *checked.doubts]:
        console.print(f"doubtful: {line}", style="yellow")
    warn(unread_pictures([low, high]))
    good = len(checked.alignments) - len(checked.doubts)
    pairs = len(checked.alignments) + len(checked.broken)
    console.print(f"{good} of {pairs} pairs agree to {LARGEST_SHIFT:.1%} of the eye's width")
    if checked.doubts or checked.broken:
        raise typer.Exit(1)


@training_data_app.command("register-pairs", epilog="Example: retina-adapt register-pairs dim clear registered")
def register_pairs(
    low: Annotated[Path, typer.Argument(help="Folder of the low-quality photographs.")],
    high: Annotated[Path, typer.Argument(help="Folder of the clear ones, with the same names.")],
    output: Annotated[Path, typer.Argument(help="New folder for the registered pairs, low and high.")],
    field_of_view: Shape = "auto",
) -> None:
    """Turn, scale and shift the low-quality photograph of each pair to match the clear one."""
    from retina_adapt.commands.photograph_list import unread_pictures
    from retina_adapt.commands.register_pairs import register_pairs as register

    result = register(low, high, output, field_of_view=field_of_view, console=console)
    for line in result.done:
        console.print(line)
    for failure in result.failures:
        console.print(f"failed: {failure}", style="red")
    pairs = counted(len(result.done) + len(result.failures), "pair")
    console.print(f"{output}: {len(result.done)} of {pairs} registered")
    warn(unread_pictures([low, high]))
    if result.failures:
        raise typer.Exit(1 if result.done else 3)


@training_data_app.command("split-pairs", epilog="Example: retina-adapt split-pairs dim clear pairs --patient '^[^_]+'")
def split_pairs(
    low: Annotated[Path, typer.Argument(help="Folder of the low-quality photographs.")],
    high: Annotated[Path, typer.Argument(help="Folder of the clear ones, with the same names.")],
    output: Annotated[Path, typer.Argument(help="New folder for copies: low, high, validation/low, test/low, ...")],
    patient: Annotated[
        str,
        typer.Option(
            help="Regular expression that finds the patient in a file's name, such as '^[^_]+' for p7_left.jpg; the "
            "patient is its first group, if it has one."
        ),
    ],
    validation: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the pairs to validate with.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the pairs to test with at the end.")] = 0.2,
    seed: Seed = 0,
) -> None:
    """Split pairs by patient, so that no eye is both trained on and tested with."""
    from retina_adapt.commands.photograph_list import unread_pictures
    from retina_adapt.commands.split_pairs import split_pairs as split

    splits = split(low, high, output, patient=patient, validation=validation, test=test, seed=seed)
    for name, part in splits.items():
        counts = f"{counted(part.pairs, 'pair')} of {counted(len(part.patients), 'patient')}"
        console.print(f"{name}: {counts} ({', '.join(part.patients)})")
    if all(part.pairs == len(part.patients) for part in splits.values()):
        warn("every pair has a patient of its own; if some patients have several pairs, --patient misses that")
    warn(unread_pictures([low, high]))


@training_data_app.command()
def presets() -> None:
    """List the degradation presets: what each does, in which order, how strongly."""
    from retina_adapt.degradations import DegradationEntryPointError, describe_preset, preset_names

    for name in preset_names():
        try:
            print(f"{name}: {describe_preset(name)}")
        except DegradationEntryPointError as error:
            # One faulty package must not hide the other presets.
            warn(str(error))


@training_data_app.command(epilog="Example: retina-adapt draw photographs --count 20")
def draw(
    output: Output,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=64, max=4096, help="Side in pixels.")] = 512,
) -> None:
    """Draw synthetic fundus photographs, for when there are none at hand."""
    from retina_adapt.commands.draw import draw_photographs

    written = draw_photographs(output, count=count, seed=seed, size=size)
    console.print(f"{output}: {len(written)} drawn photographs")
