"""Files beside the results that tell how these came about: whole, whatever file names they hold, or a clear error.

A file name that is no UTF-8 reaches Python with surrogates in it, which UTF-8 cannot hold. JSON escapes them.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.errors import RetinaAdaptError


class RecordWriteError(RetinaAdaptError):
    """A record that the disk or its permissions refuse."""


class ForeignFileError(RetinaAdaptError):
    """A file that something else has written, in the place of a record."""


def require_own_record(path: Path, is_own: Callable[[bytes], bool]) -> None:
    """Let a command write `path` where nothing is, or a record of its own.

    Args:
        is_own: tells it by what the file holds.

    Raises:
        ForeignFileError: it is somebody else's.
    """
    if path.exists() and not (path.is_file() and is_own(path.read_bytes())):
        raise ForeignFileError(
            f"{path}: is there already, was not written by this command, and would be replaced; move it away, or give "
            "another name or folder"
        )


@contextmanager
def recording(path: Path) -> Iterator[None]:
    """For a block that writes `path`.

    Raises:
        RecordWriteError: in place of the system's error.
    """
    try:
        yield
    except OSError as error:
        raise RecordWriteError(
            f"{path}: cannot be written ({error.strerror or error}); make space or the folder writable, and run the "
            "same command again"
        ) from error


def write_json_record(path: Path, content: Any) -> None:
    """Write plain values as JSON, in ASCII.

    Raises:
        RecordWriteError: the file cannot be written.
    """
    with recording(path), write_file_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
