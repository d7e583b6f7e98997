"""One run at a time in a folder of results, and what a killed one has left there."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from retina_adapt.atomic_files import PARTIAL_NAME
from retina_adapt.commands.journal import (
    JOURNAL_FOLDER,
    SUMMARY_BEGINS,
    SUMMARY_CSV,
    SUMMARY_JSON,
    TABLE_BEGINS,
)
from retina_adapt.commands.photograph_list import OutputFolderError
from retina_adapt.commands.records import recording

LOCK_FILE = "lock"


def require_own_records(output: Path) -> None:
    """Refuse to write `summary.json` and `summary.csv` over somebody else's.

    Raises:
        OutputFolderError: names the file.
    """
    for path, beginning in ((output / SUMMARY_JSON, SUMMARY_BEGINS), (output / SUMMARY_CSV, TABLE_BEGINS)):
        if path.is_file() and not path.read_bytes().startswith(beginning):
            raise OutputFolderError(
                f"{path}: is there already, of no run of this command, and would be overwritten; name another output "
                "folder, or move it away"
            )


@contextmanager
def sole_run(output: Path, *, is_main: bool) -> Iterator[None]:
    """Within the context no other run writes into the folder; files that killed ones have not finished are removed.

    Args:
        output: folder of the results.
        is_main: of the processes of one run, the main one speaks for all.

    Raises:
        OutputFolderError: another run is at work there.
        RecordWriteError: the lock cannot be written.
    """
    if not is_main:
        yield
        return
    path = output / JOURNAL_FOLDER / LOCK_FILE
    lock = FileLock(path)
    with recording(path):
        path.parent.mkdir(exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputFolderError(
                f"{output}: another run is at work there; wait for its end, or name another output folder"
            ) from error
        except NotImplementedError:
            # A network's disk that knows no locks: two runs at once are then the user's own care.
            pass
    try:
        _remove_unfinished(output)
        yield
    finally:
        lock.release()


def _remove_unfinished(output: Path) -> None:
    for path in output.rglob(".*"):
        if re.fullmatch(PARTIAL_NAME, path.name) and path.is_file():
            path.unlink(missing_ok=True)
