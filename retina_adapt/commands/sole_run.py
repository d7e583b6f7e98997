"""One run at a time in a folder of results, the remains of killed runs, and how a run is ended from outside."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from accelerate.utils import broadcast_object_list

from retina_adapt.atomic_files import PARTIAL_NAME
from retina_adapt.commands.journal import JOURNAL_FOLDER
from retina_adapt.commands.records import recording
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.sole_use import sole_use

LOCK_FILE = "lock"


@contextmanager
def sole_run(output: Path, *, is_main: bool) -> Iterator[None]:
    """Keep other runs out of the folder within the context, and remove the unfinished files of killed ones.

    Args:
        output: folder of the results.
        is_main: whether this is the run's main process, which locks the folder for all: the others wait for it here,
            and if it finds another run at work, all raise its error.

    Raises:
        FolderInUseError: another run is at work there.
        RecordWriteError: the lock cannot be written.
    """
    path = output / JOURNAL_FOLDER / LOCK_FILE
    refusal: list[RetinaAdaptError | None] = [None]
    with ExitStack() as lock:
        if is_main:
            try:
                with recording(path):
                    lock.enter_context(sole_use(output, path))
                _remove_unfinished(output)
            except RetinaAdaptError as error:
                refusal = [error]
        broadcast_object_list(refusal)
        if refusal[0] is not None:
            raise refusal[0]
        yield


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
