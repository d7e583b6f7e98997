"""Writes that survive a killed process: a file or folder is either the whole old one or the whole new one."""

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
"""Regular expression for the names of the temporary files of `write_file_atomically`."""


@contextmanager
def write_file_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; if the block ends without an error, it replaces `path`.

    The temporary file has `path`'s suffix, for writers that choose a format by suffix. On an error it is removed, and
    `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the file's own name, which may already be as long as the system allows.
    temporary = path.with_name(f".{_random_word()}.partial{path.suffix}")
    # The system gives it the permissions of any new file. Computing them would mean reading the process's umask, which
    # only works by setting it: for a moment, all other threads would write files that anybody may change.
    temporary.touch(exist_ok=False)
    permissions = _permissions(temporary)
    try:
        yield temporary
        _flush_to_disk(temporary)
        # Some writers, safetensors among them, replace it with a file that only its owner can read.
        temporary.chmod(permissions)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def write_folder_atomically(folder: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `folder`; if the block ends without an error, it replaces `folder`.

    Whatever `folder` held is lost: see `require_own_folder`.

    A folder cannot be replaced in one system call, so the old one is first renamed to `.<name>.previous`. A process
    killed between the two renames leaves it there, so readers first call `restore_interrupted_replacement`. If `folder`
    is a symbolic link, the folder it points to is replaced.
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
                # Try again if a reader that took this writer for dead has just put the old folder back.
                if not folder.exists():
                    raise
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_own_folder(
    folder: str | Path, index_file: str, error_class: type[RetinaAdaptError], *, what: str, says: str = ""
) -> None:
    """Let a caller of `write_folder_atomically` replace only what it wrote itself.

    The folder may be absent, empty, or marked by its index file as the caller's own.

    Args:
        index_file: name of a file that the caller writes into each of its folders.
        error_class: the error to raise otherwise.
        what: what the caller writes, for the message.
        says: text that the index file must contain, for a file name that other programs use too.
    """
    folder = Path(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / index_file
    if not (index.is_file() and says in index.read_text(encoding="utf-8", errors="replace")):
        raise error_class(f"{folder}: holds something that is no {what}, and would be lost; give a new folder")


def restore_interrupted_replacement(folder: str | Path) -> None:
    """Put back the folder that a killed `write_folder_atomically` had moved aside, if any."""
    folder = Path(folder).resolve()
    # The root of a disk has no name, and nobody replaces it.
    if folder.name and (previous := _previous(folder)).is_dir():
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
        else:
            try:
                previous.rename(folder)
            except OSError as error:
                # Its writer is alive after all, or another reader was faster.
                if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
                    raise


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _flush_to_disk(file: Path) -> None:
    # Guards against loss of power; a killed process loses nothing even without it.
    # Windows flushes only files that are open for writing.
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


def _random_word() -> str:
    """A word that no other writer will choose; if one did, `touch` or `mkdir` would fail."""
    return secrets.token_hex(6)


def _permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
