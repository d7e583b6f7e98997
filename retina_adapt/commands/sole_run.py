"""One run at a time in a folder of results, the remains of killed runs, and how a run is ended from outside."""

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
    """Keep other runs out of the folder within the context, and remove the unfinished files of killed ones.

    Args:
        output: folder of the results.
        is_main: whether this is the run's main process, which locks the folder for all: the others wait for it here,
            and if it finds another run at work, all raise its error.

    Raises:
        OutputFolderError: another run is at work there.
        RecordWriteError: the lock cannot be written.
    """
    # If the process is killed, the system releases the lock.
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
            # What older versions of the library raise on a network disk without locks: see below.
            return
        except OSError as error:
            # On such a disk, not starting two runs at once is left to the user; otherwise no run could start at all.
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise


def _remove_unfinished(output: Path) -> None:
    for folder, below, names in os.walk(output):
        # In a subfolder that is itself a folder of results, another run may be at work.
        below[:] = [name for name in below if not (Path(folder) / name / JOURNAL_FOLDER).is_dir()]
        for name in names:
            if re.fullmatch(PARTIAL_NAME, name):
                path = Path(folder) / name
                with recording(path):
                    path.unlink(missing_ok=True)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM, which clusters and `kill` send, end the work as Ctrl-C does, without leaving half a result.

    Python delivers signals to the main thread only; in another thread, this changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
