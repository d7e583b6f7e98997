"""Files beside the results that record how these were made: whole, whatever file names they hold, or a clear error.

A file name that is not valid UTF-8 reaches Python with surrogates, which UTF-8 cannot encode; JSON escapes them.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.errors import RetinaAdaptError


class RecordWriteError(RetinaAdaptError):
    """A record that cannot be written, for lack of space or permission."""


class ForeignFileError(RetinaAdaptError):
    """A file that something else wrote, in the place of a record."""


def require_own_record(path: Path, is_own: Callable[[bytes], bool]) -> None:
    """Let a command write `path` only if nothing is there, or a record of its own.

    Args:
        is_own: recognises such a record by its content.

    Raises:
        ForeignFileError: something else is there.
    """
    if path.exists() and not (path.is_file() and is_own(path.read_bytes())):
        raise ForeignFileError(
            f"{path}: is there already, was not written by this command, and would be replaced; move it away, or give "
            "another name or folder"
        )


@contextmanager
def recording(path: Path) -> Iterator[None]:
    """Turn the system's error in a block that writes `path` into one that says what to do.

    Raises:
        RecordWriteError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise RecordWriteError(
            f"{path}: cannot be written ({error.strerror or error}); make space, or make the folder writable, and run "
            "the same command again"
        ) from error


def write_json_record(path: Path, content: Any) -> None:
    """Write plain values as JSON, in ASCII.

    Raises:
        RecordWriteError: the file cannot be written.
    """
    with recording(path), write_file_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
