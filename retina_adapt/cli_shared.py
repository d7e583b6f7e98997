"""What the verbs of `retina-adapt` share: where output goes, common arguments, and how a batch ends."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from retina_adapt.commands.batch import BatchResult
from retina_adapt.errors import printable_list
from retina_adapt.imaging import FieldOfViewShape


class MessageConsole(Console):
    """The console for messages: file names in them can neither begin a new line nor steer the terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, but escape unprintable characters in strings; see `printable_list`."""
        super().print(*(printable_list(it) if isinstance(it, str) else it for it in objects), **options)


# Brackets in names and messages, as in pip install '.[app]', are not markup, and words between colons not emoji.
console = MessageConsole(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
# Answers go to standard output, where other programs can read them.
answers = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


Output = Annotated[Path, typer.Argument(help="Folder for the results.")]
Shape = Annotated[
    FieldOfViewShape, typer.Option(help="Shape of the field of view; full_frame if tissue fills the frame.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same results.")]


def finish(result: BatchResult, output: Path, *, quiet: bool = False) -> None:
    """Say what was written and what failed; exit with status 1 if something failed, 3 if nothing succeeded."""
    if not quiet and not result.is_of_another_process:
        console.print(f"{output}: {counted(len(result.written), 'photograph')} written")
        if result.skipped:
            console.print(f"{output}: {len(result.skipped)} were done before")
        for warning in result.warnings:
            warn(warning)
    for failure in result.failures:
        console.print(f"failed: {failure}", style="red")
    if result.failures:
        raise typer.Exit(1 if result.written or result.skipped else 3)


def warn(text: str) -> None:
    """Print a warning, if there is anything to warn of."""
    if text:
        console.print(f"warning: {text}", style="yellow")


def counted(number: int, thing: str) -> str:
    """The number and its noun, in the plural if need be."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
