"""Keep validation apart from training: no photograph may be used for both."""

from pathlib import Path
from typing import Any

import numpy as np

from retina_adapt.data.folder_pairs import PairingError
from retina_adapt.data.prepared_photographs import PreparedPhotographs
from retina_adapt.data.settings import PairSource, PhotographSource


def require_apart(train: PairSource, validation: PairSource) -> None:
    """Refuse to validate on training data: the scores, and the adaptor's card, would mean nothing.

    Raises:
        PairingError: the same folder, rows or clear photographs are in both.
    """
    if shared := _identities(train) & _identities(validation):
        path = sorted(identity[0] for identity in shared)[0]
        raise PairingError(
            f"{path}: is in both `train` and `validation`; keep some pairs for validation alone, say a fifth"
        )


def require_other_photographs(train: PreparedPhotographs, validation: PreparedPhotographs) -> None:
    """Refuse to validate on copies of the clear training photographs, in any place and any lossless format.

    Copies that were scaled, cropped, compressed with loss or saved at another bit depth are not found.

    Args:
        train, validation: prepared at the same size.

    Raises:
        PairingError: the squares of two photographs have equal pixels.
    """
    trained: dict[str, list[int]] = {}
    for index, digest in enumerate(train.digests()):
        trained.setdefault(digest, []).append(index)
    for index, digest in enumerate(validation.digests()):
        for likely in trained.get(digest, []):
            # Photographs that are black in the middle share a digest.
            if np.array_equal(train[likely].image, validation[index].image):
                raise PairingError(
                    f"{validation.names[index]}: is to validate with, but is the same photograph as "
                    f"{train.names[likely]}, which is trained on; keep it for validation alone, like all of its "
                    "patient's"
                )


def _identities(source: PairSource) -> set[tuple[Any, ...]]:
    """The identity of each part of a source: where it is, and which conditions its photographs meet.

    The limit is left out: of one collection, a smaller selection is part of a larger one.
    """
    parts = [*source.clear, *([source.rows] if source.rows is not None else [])]
    if source.high_folder:
        parts.append(PhotographSource(str(Path(source.high_folder).expanduser().resolve())))
    return {(*_place(part), repr(sorted(part.where.items()))) for part in parts}


def _place(source: PhotographSource) -> tuple[str, str]:
    """The folder of a split, which a source may also name directly; else the source and its split."""
    path = _resolved(source.path)
    folder = Path(path) / source.split
    return (str(folder), "train") if folder.is_dir() else (path, source.split)


def _resolved(source: str) -> str:
    """The absolute form of an existing path; any other source, such as a Hub name, unchanged."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source
