"""Training and validation kept apart: what is validated on must not be trained on."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from retina_adapt.data.folder_pairs import PairingError
from retina_adapt.data.settings import PairSource, PhotographSource


def require_apart(train: PairSource, validation: PairSource) -> None:
    """Refuse to validate on what is trained on: the scores, and the adaptor's card, would say nothing.

    Raises:
        PairingError: the same folder, rows or clear photographs are in both.
    """
    if shared := _identities(train) & _identities(validation):
        path = sorted(identity[0] for identity in shared)[0]
        raise PairingError(
            f"{path}: is in `train` and in `validation`; keep some pairs for the validation alone, a fifth of them, say"
        )


def require_other_photographs(train: Iterable[str], validation: Iterable[str]) -> None:
    """Refuse to validate on copies of photographs that are trained on.

    Args:
        train, validation: names of photographs; what is no path of a file, as in Parquet files, is not looked at.

    Raises:
        PairingError: a file holds the same bytes as one to train on.
    """
    trained, validated = _by_size(train), _by_size(validation)
    for size in trained.keys() & validated.keys():
        contents = {_digest(path): path for path in trained[size]}
        for path in validated[size]:
            if (same := contents.get(_digest(path))) is not None:
                raise PairingError(
                    f"{path}: is to validate with, but holds the same photograph as {same}, which is trained on; "
                    "'retina-adapt split-pairs' divides pairs so that no patient is in both"
                )


def _by_size(names: Iterable[str]) -> dict[int, list[Path]]:
    """Files by their size in bytes: only those of one size can be equal, and few of the others are read."""
    by_size: dict[int, list[Path]] = {}
    for path in map(Path, names):
        if path.is_file():
            by_size.setdefault(path.stat().st_size, []).append(path)
    return by_size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _identities(source: PairSource) -> set[tuple[Any, ...]]:
    """What each part of a source is told by: where it is, and which conditions its photographs meet.

    Not by its limit: of one collection, a smaller number of photographs is a part of a larger one.
    """
    parts = [*source.clear, *([source.rows] if source.rows is not None else [])]
    if source.high_folder:
        parts.append(PhotographSource(str(Path(source.high_folder).expanduser().resolve())))
    return {(*_place(part), repr(sorted(part.where.items()))) for part in parts}


def _place(source: PhotographSource) -> tuple[str, str]:
    """The folder of a split, which may be named itself; else the source and its split."""
    path = _resolved(source.path)
    folder = Path(path) / source.split
    return (str(folder), "train") if folder.is_dir() else (path, source.split)


def _resolved(source: str) -> str:
    """A path in one form; a name of the Hub, which is no path, as it is."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source
