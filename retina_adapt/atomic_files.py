"""Writes that a killed process cannot tear: a file or folder is either the old one, whole, or the new one, whole."""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retina_adapt.errors import RetinaAdaptError

PARTIAL_NAME = r"\.[0-9a-f]{12}\.partial(\.[^.]*)?"
"""What the temporary files of `write_file_atomically` are called, as a regular expression."""


@contextmanager
def write_file_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends without an error it replaces `path`.

    The temporary file carries `path`'s suffix, so that writers which choose a format by suffix work. On an error
    it is removed and `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the file's own name, to which nothing can be added where it is as long as the system allows.
    temporary = path.with_name(f".{_random_word()}.partial{path.suffix}")
    # The system gives it the permissions of any other new file. To compute them, one would have to read the process's
    # umask, which only setting it does: for a moment all other threads would write files that anybody may change.
    temporary.touch(exist_ok=False)
    permissions = _permissions(temporary)
    try:
        yield temporary
        _flush_to_disk(temporary)
        # Some writers, safetensors among them, put a file in its place that only its owner can read.
        temporary.chmod(permissions)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def write_folder_atomically(folder: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `folder`; when the block ends without an error it replaces `folder`.

    Whatever lies in `folder` is lost: see `require_own_folder`.

    A folder cannot be replaced in one system call, so the old one is first renamed to `.<name>.previous`. A process
    killed between the two renames leaves it there: readers call `restore_interrupted_replacement` first. Where
    `folder` is a symbolic link, the folder that it points to is replaced.
    """
    folder = Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    restore_interrupted_replacement(folder)
    temporary = folder.with_name(f".{folder.name}.{_random_word()}")
    temporary.mkdir()
    permissions = _permissions(temporary)
    previous = _previous(folder)
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                _flush_to_disk(path)
            path.chmod(permissions if path.is_dir() else permissions & 0o666)
        while temporary.exists():
            if folder.exists():
                folder.rename(previous)
            try:
                temporary.rename(folder)
            except OSError:
                # Unless a reader took this moment for the end of a killed writer, and put the old folder back.
                if not folder.exists():
                    raise
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_own_folder(
    folder: str | Path, index_file: str, error_class: type[RetinaAdaptError], *, what: str, says: str = ""
) -> None:
    """Let a caller of `write_folder_atomically` replace what it has written itself, and nothing else.

    A folder that is absent or empty is fine, and so is one whose index file marks it as the caller's own.

    Args:
        index_file: name of the file that the caller writes to each of its folders.
        error_class: what is raised otherwise.
        what: what the caller writes, for the message.
        says: text that the index file must hold, where others write files of this name too.
    """
    folder = Path(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / index_file
    if not (index.is_file() and says in index.read_text(encoding="utf-8", errors="replace")):
        raise error_class(f"{folder}: holds something that is no {what}, and would be lost; give a new folder")


def restore_interrupted_replacement(folder: str | Path) -> None:
    """Put back what a killed `write_folder_atomically` had moved aside, if anything."""
    folder = Path(folder).resolve()
    # The root of a disk has no name, and nobody replaces it.
    if folder.name and (previous := _previous(folder)).is_dir():
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
        else:
            try:
                previous.rename(folder)
            except OSError as error:
                # Its writer lives, or another reader was faster.
                if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
                    raise


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _flush_to_disk(file: Path) -> None:
    # A killed process loses nothing without it; a machine that loses its power would.
    # Windows flushes only what may be written.
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


def _random_word() -> str:
    """What no other writer chooses; should one, `touch` and `mkdir` say so."""
    return secrets.token_hex(6)


def _permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
