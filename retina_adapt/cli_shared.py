"""What the verbs of `retina-adapt` share: where messages go, arguments of one meaning, and how a batch ends."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from retina_adapt.commands.batch import BatchResult
from retina_adapt.errors import printable_list


class MessageConsole(Console):
    """Where messages go: names of files in them can neither begin a line of their own nor steer the terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's, with escapes for what is unprintable in strings; see `printable_list`."""
        super().print(*(printable_list(it) if isinstance(it, str) else it for it in objects), **options)


# Brackets in names and messages are no markup, pip install '.[app]', and words between colons no pictures.
console = MessageConsole(stderr=True, markup=False, emoji=False)
# What was asked for goes where other programs can read it.
answers = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


class FieldOfViewChoice(StrEnum):
    """Where to look for the field of view."""

    AUTO = "auto"
    CIRCLE = "circle"
    FULL_FRAME = "full_frame"


Output = Annotated[Path, typer.Argument(help="Folder for the results.")]
Shape = Annotated[FieldOfViewChoice, typer.Option(help="Shape of the field of view; full_frame where there is none.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same results.")]


def finish(result: BatchResult, output: Path, *, quiet: bool = False) -> None:
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
