"""One run at a time in a folder."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from retina_adapt.errors import RetinaAdaptError


class FolderInUseError(RetinaAdaptError):
    """Another run is at work in a folder."""


@contextmanager
def sole_use(folder: Path, lock_file: Path) -> Iterator[None]:
    """Keep other runs that ask for the same lock out within the context; if the process is killed, that ends it too.

    On a network disk without locks, not starting two runs at once is left to the user.

    Args:
        folder: what the error names.
        lock_file: stays there, empty; its own folder is made if need be.

    Raises:
        FolderInUseError: another run is at work there.
        OSError: the lock file cannot be written.
    """
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise FolderInUseError(
            f"{folder}: another run is at work there; wait for its end, or name another output folder"
        ) from error
    except NotImplementedError:
        # What older versions of the library raise where a disk has no locks.
        pass
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
            raise
    try:
        yield
    finally:
        lock.release()
