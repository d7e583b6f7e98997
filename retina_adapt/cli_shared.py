"""What the verbs of `retina-adapt` share: where output goes, common arguments, and how a batch ends."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from retina_adapt.commands.batch import BatchResult
from retina_adapt.errors import printable_list


class MessageConsole(Console):
    """The console for messages: file names in them can neither begin a new line nor steer the terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, but escape unprintable characters in strings; see `printable_list`."""
        super().print(*(printable_list(it) if isinstance(it, str) else it for it in objects), **options)


# Brackets in names and messages, as in pip install '.[app]', are not markup, and words between colons not emoji.
console = MessageConsole(stderr=True, markup=False, emoji=False)
# Answers go to standard output, where other programs can read them.
answers = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


class FieldOfViewChoice(StrEnum):
    """The shape of the field of view."""

    AUTO = "auto"
    CIRCLE = "circle"
    FULL_FRAME = "full_frame"


Output = Annotated[Path, typer.Argument(help="Folder for the results.")]
Shape = Annotated[
    FieldOfViewChoice, typer.Option(help="Shape of the field of view; full_frame if tissue fills the frame.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same results.")]


def finish(result: BatchResult, output: Path, *, quiet: bool = False) -> None:
    """Say what was written and what failed; exit with status 1 if something failed, 3 if nothing succeeded."""
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
