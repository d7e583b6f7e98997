"""Known fields of view: which mask of a folder belongs to which photograph."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retina_adapt.commands.photograph_list import ListedPhotograph
from retina_adapt.enhancement import EnhancementInputError
from retina_adapt.imaging import find_photographs, read_photograph
from retina_adapt.imaging.photograph import JPEG_SUFFIXES


class KnownMasks:
    """The masks of a folder; without one, no photograph has a mask.

    Args:
        folder: masks named as the photographs, in the same subfolders or in none; nonzero inside the field of view.

    Raises:
        EnhancementInputError: there is no such folder.
        ImageReadError: a part of the folder cannot be reached.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._by_name: dict[Path, Path] = {}
        if folder is not None:
            if not folder.is_dir():
                raise EnhancementInputError(f"{folder}: there is no such folder; check --masks")
            # Listed once, since an archive may have a mask for each photograph; of two with one name, the first counts.
            found = find_photographs(folder)[::-1]
            self._by_name = {path.relative_to(folder).with_suffix(""): path for path in found}

    def without(self, listed: list[ListedPhotograph]) -> list[ListedPhotograph]:
        """The photographs without the masks, if the folder of masks lies among them."""
        if self.folder is None:
            return listed
        folder = self.folder.resolve()
        photographs = [photograph for photograph in listed if folder not in photograph.path.resolve().parents]
        # If all of them lie in it, the folder of masks is that of the photographs, or one above it.
        return photographs or listed

    def require_own(self, listed: Sequence[ListedPhotograph]) -> None:
        """Refuse a mask that several photographs would take, since it can belong to only one.

        Raises:
            EnhancementInputError: names the mask and two of them.
        """
        taken: dict[Path, Path] = {}
        for photograph in listed:
            mask = self.path_of(photograph)
            if mask is not None and (other := taken.setdefault(mask, photograph.path)) != photograph.path:
                raise EnhancementInputError(
                    f"{mask}: is it the mask of {other} or of {photograph.path}? Put masks into the same subfolders as "
                    "the photographs, and give photographs of one name in one folder different names"
                )

    def path_of(self, photograph: ListedPhotograph) -> Path | None:
        """The file of the photograph's mask; None without a folder of masks."""
        if self.folder is None:
            return None
        name = photograph.relative.with_suffix("")
        # If the mask is missing, reading this path raises an error that names it.
        missing = self.folder / f"{name}.png"
        return self._by_name.get(name) or self._by_name.get(Path(name.name), missing)

    def read(self, photograph: ListedPhotograph) -> np.ndarray | None:
        """The photograph's known field of view, bool (H, W); None if it has to be found.

        Raises:
            ImageReadError: the mask is missing or cannot be read.
        """
        path = self.path_of(photograph)
        if path is None:
            return None
        # JPEG blurs the mask's edge and rings beside it.
        least = 0.5 if path.suffix.lower() in JPEG_SUFFIXES else 0.0
        return read_photograph(path).pixels.max(axis=2) > least
