"""Writes that a killed process cannot tear: a file or folder is either the old one, whole, or the new one, whole."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_file_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends without an error it replaces `path`.

    The temporary file carries `path`'s suffix, so that writers which choose a format by suffix work. On an error
    it is removed and `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        # mkstemp makes files private; a result has the permissions of any other new file.
        temporary.chmod(0o666 & ~_current_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def write_folder_atomically(folder: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `folder`; when the block ends without an error it replaces `folder`.

    A folder cannot be replaced in one system call, so the old one is first renamed to `.<name>.previous`. A process
    killed between the two renames leaves it there: readers call `restore_interrupted_replacement` first. Where
    `folder` is a symbolic link, the folder that it points to is replaced.
    """
    folder = Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    restore_interrupted_replacement(folder)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    previous = _previous(folder)
    try:
        yield temporary
        temporary.chmod(0o777 & ~_current_umask())
        for path in temporary.rglob("*"):
            # Some writers, safetensors among them, make files that only their owner can read.
            path.chmod((0o777 if path.is_dir() else 0o666) & ~_current_umask())
        if folder.exists():
            folder.rename(previous)
        temporary.rename(folder)
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def restore_interrupted_replacement(folder: str | Path) -> None:
    """Put back what a killed `write_folder_atomically` had moved aside, if anything."""
    folder = Path(folder).resolve()
    previous = _previous(folder)
    if previous.is_dir():
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
        else:
            previous.rename(folder)


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
