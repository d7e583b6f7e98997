"""Batches of photographs: a broken one is reported at the end and does not stop the rest."""

import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from retina_adapt.errors import RetinaAdaptError, printable, ran_out_of_memory

_PACKAGE = Path(__file__).resolve().parents[1]
Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")
Written = TypeVar("Written")


@dataclass
class BatchResult:
    """Files written, results that were there already, and messages on photographs that failed or are doubtful.

    Attributes:
        summary: file that holds the details.
        report: page on all results; None if none was asked for, or it could not be written.
        is_of_another_process: whether this is empty because the main process has the result.
    """

    written: list[Path] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    summary: Path | None = None
    report: Path | None = None
    is_of_another_process: bool = False


@dataclass(frozen=True)
class Outcome(Generic[Item, Written]):
    """What became of an item: a result, or an error."""

    item: Item
    result: Written | None
    error: Exception | None = None


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    work: Callable[[Item, Read], Made],
    write: Callable[[Item, Made], Written],
    *,
    workers: int,
) -> Iterator[Outcome[Item, Written]]:
    """Yield each item's outcome, in order, while the next items are read and the last ones written.

    `work` is called in this thread, one item at a time; `read` and `write` in up to `workers` threads each. As many
    items are held in memory before `work`, and as many after it. An exception in one item does not stop the others.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(workers) as readers, ThreadPoolExecutor(workers) as writers:
        reading: deque[tuple[Item, Future[Read]]] = deque()
        writing: deque[tuple[Item, Future[Written]]] = deque()

        def read_ahead() -> None:
            for item in islice(waiting, workers - len(reading)):
                reading.append((item, readers.submit(read, item)))

        read_ahead()
        while reading:
            item, future = reading.popleft()
            try:
                content = future.result()
                read_ahead()
                made = work(item, content)
                writing.append((item, writers.submit(write, item, made)))
            except Exception as error:
                # Queued in its turn, so that outcomes keep the order of the items.
                writing.append((item, _failed(error)))
            read_ahead()
            while len(writing) > workers:
                yield _outcome(*writing.popleft())
        while writing:
            yield _outcome(*writing.popleft())


def batch_progress(console: Console) -> Progress:
    """A progress bar with the count, the rate per minute and the time left; disabled without a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        # Without a terminal, a bar would leave an empty line in the log.
        disable=not console.is_terminal,
    )


def failure_message(path: Path, error: Exception) -> str:
    """Describe a failure in one line that names the photograph."""
    if isinstance(error, RetinaAdaptError):
        message = str(error)
    elif ran_out_of_memory(error):
        message = "not enough memory to hold it; close other programs, or lower --workers"
    elif isinstance(error, OSError):
        message = f"{error.strerror or error}; check the file and the free space"
    else:
        message = f"unexpected {type(error).__name__}: {error}{_place(error)}; please report it"
    # Lines of a library's message are joined; line breaks in the photograph's own name are shown as escapes.
    message = printable(" ".join(message.replace(str(path), printable(str(path))).splitlines()))
    return message if printable(path.name) in message else f"{printable(str(path))}: {message}"


def _place(error: Exception) -> str:
    """Where in this package an error arose, which a bug report needs most."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    if not own:
        return ""
    return f" (in {Path(own[-1].filename).relative_to(_PACKAGE).as_posix()}, line {own[-1].lineno})"


class _RateColumn(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{60 * task.speed:.1f}/min")


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def _outcome(item: Item, future: "Future[Written]") -> Outcome[Item, Written]:
    error = future.exception()
    if error is None:
        return Outcome(item, future.result())
    if not isinstance(error, Exception):
        raise error
    return Outcome(item, None, error)
