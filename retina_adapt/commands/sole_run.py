"""One run at a time in a folder of results, what a killed one has left there, and how one is ended from outside."""

import errno
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout

from retina_adapt.atomic_files import PARTIAL_NAME
from retina_adapt.commands.journal import JOURNAL_FOLDER
from retina_adapt.commands.photograph_list import OutputFolderError
from retina_adapt.commands.records import recording
from retina_adapt.errors import RetinaAdaptError

LOCK_FILE = "lock"


@contextmanager
def sole_run(output: Path, *, is_main: bool) -> Iterator[None]:
    """Within the context no other run writes into the folder; files that killed ones have not finished are removed.

    Args:
        output: folder of the results.
        is_main: of the processes of one run, the main one speaks for all: they wait for it here, and where it finds
            another run at work all of them end with its error.

    Raises:
        OutputFolderError: another run is at work there.
        RecordWriteError: the lock cannot be written.
    """
    # The system itself releases the lock of a process that is killed.
    lock = FileLock(output / JOURNAL_FOLDER / LOCK_FILE)
    refusal: list[RetinaAdaptError | None] = [None]
    try:
        if is_main:
            try:
                _take(lock, output)
                _remove_unfinished(output)
            except RetinaAdaptError as error:
                refusal = [error]
        broadcast_object_list(refusal)
        if refusal[0] is not None:
            raise refusal[0]
        yield
    finally:
        lock.release()


def _take(lock: FileLock, output: Path) -> None:
    path = Path(lock.lock_file)
    with recording(path):
        path.parent.mkdir(exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise OutputFolderError(
                f"{output}: another run is at work there; wait for its end, or name another output folder"
            ) from error
        except NotImplementedError:
            # A network's disk that knows no locks, to older versions of the library: see below.
            return
        except OSError as error:
            # On such a disk two runs at once are the user's own care, rather than none being possible.
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise


def _remove_unfinished(output: Path) -> None:
    for folder, below, names in os.walk(output):
        # In a folder of results of its own, another run may be at work.
        below[:] = [name for name in below if not (Path(folder) / name / JOURNAL_FOLDER).is_dir()]
        for name in names:
            if re.fullmatch(PARTIAL_NAME, name):
                path = Path(folder) / name
                with recording(path):
                    path.unlink(missing_ok=True)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Within the context SIGTERM, which clusters and `kill` send, ends the work as Ctrl-C does: what is begun is whole.

    Python hands signals to the main thread only; in another one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
