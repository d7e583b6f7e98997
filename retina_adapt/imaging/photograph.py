"""A photograph with what the camera recorded, and the search for files that may hold one.

Pixels are float32 in [0, 1], upright, RGB or grey. Bit depth, alpha, colour profile and EXIF are kept with them, so
that a photograph read and written again in a lossless format keeps every sample bit for bit.
"""

import errno
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from retina_adapt.errors import RetinaAdaptError, printable
from retina_adapt.imaging.provenance import Provenance

JPEG_SUFFIXES = (".jpg", ".jpeg")
PNG_SUFFIXES = (".png",)
TIFF_SUFFIXES = (".tif", ".tiff")
DICOM_SUFFIXES = (".dcm", ".dicom")
SUFFIXES = JPEG_SUFFIXES + PNG_SUFFIXES + TIFF_SUFFIXES + DICOM_SUFFIXES


class ImageReadError(RetinaAdaptError):
    """A photograph cannot be read; the message names the file, the reason and the remedy."""


class ImageWriteError(RetinaAdaptError):
    """A photograph cannot be written; the file that was there before, if any, is untouched."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """One photograph, upright.

    Attributes:
        pixels: float32 (H, W, 3) RGB or (H, W, 1) grey, in [0, 1]: the stored integer over 255 or 65535.
        bit_depth: bits per sample in the file, 8 or 16.
        alpha: opacity, float32 (H, W) in [0, 1]; None if the file has none.
        icc_profile: embedded colour profile. Pixels are in its colour space, not converted.
        exif: EXIF block without the orientation tag, which `pixels` already follow.
        source: file it was read from; None if decoded from bytes.
        provenance: what made an enhanced image; None for a camera's own photograph.
        dicom_header: the DICOM object without its pixels, which tells of patient, study and camera; None if the
            photograph was not read from DICOM.
    """

    pixels: np.ndarray
    bit_depth: int = 8
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    source: Path | None = None
    provenance: Provenance | None = None
    dicom_header: bytes | None = None

    @property
    def transparent(self) -> np.ndarray | None:
        """Where programs show nothing of it, bool (H, W); None without alpha, or if that would be everywhere."""
        return None if self.alpha is None else transparent_where(self.alpha)


def transparent_where(alpha: np.ndarray) -> np.ndarray | None:
    """Where a picture with this opacity (H, W) is transparent, bool; None if everywhere, which tells of nothing."""
    return alpha == 0 if alpha.any() else None


@dataclass(frozen=True)
class VisibleFolder:
    """What a search found in one folder, leaving out hidden entries.

    Attributes:
        path: of the folder.
        files: names of its files, sorted, including links to files.
        unreachable: a message with path, reason and remedy for each entry that cannot be accessed, or for the folder
            itself.
    """

    path: Path
    files: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)


def visible_folders(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[VisibleFolder]:
    """Yield a folder and all folders below it that are not hidden, following links to folders.

    Args:
        above: resolved folders that the search came through: a link back to one would lead in circles.
    """
    own_place = folder.resolve()
    if own_place in above:
        return
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        modes = {}
        for entry in entries:
            # Another program may have removed it in the meantime.
            with suppress(FileNotFoundError):
                # Fails in a folder that may be listed but not entered: only names are known there.
                modes[entry] = entry.lstat().st_mode
    except OSError as error:
        yield VisibleFolder(folder, unreachable=[_unreachable(folder, error)])
        return
    found, below = VisibleFolder(folder), []
    for entry, mode in modes.items():
        try:
            mode = entry.stat().st_mode if stat.S_ISLNK(mode) else mode
        except OSError as error:
            # A link to itself means nothing, like one that leads back, and is passed over.
            if error.errno != errno.ELOOP:
                found.unreachable.append(_unreachable(entry, error))
            continue
        if stat.S_ISREG(mode):
            found.files.append(entry.name)
        elif stat.S_ISDIR(mode):
            below.append(entry)
    yield found
    for entry in below:
        yield from visible_folders(entry, (*above, own_place))


def _unreachable(path: Path, error: OSError) -> str:
    name = printable(str(path))
    if isinstance(error, FileNotFoundError):
        return (
            f"{name}: links to something that is not there, perhaps photographs; mount the disk that this link points "
            "to, or remove the link"
        )
    return f"{name}: cannot be accessed ({error.strerror}), and may hold photographs; make it readable, or move it away"


def search_photographs(folder_or_file: Path | str) -> tuple[list[Path], list[str]]:
    """Find all photographs in a folder and its subfolders by suffix, sorted; a file stands for itself.

    Hidden files and folders are left out: they hold previews, partial files and the trash of other programs. Links to
    folders are followed.

    Returns:
        The photographs, and a message for each file or folder that cannot be accessed.

    Raises:
        ImageReadError: the path does not exist or holds no photograph that can be accessed.
    """
    root = Path(folder_or_file)
    if root.is_file():
        return [root], []
    if not root.is_dir():
        looked_in = "" if root.is_absolute() else f" (it was looked for in {Path.cwd()})"
        raise ImageReadError(f"{root}: there is no such file or folder; check the path{looked_in}")
    folders = list(visible_folders(root))
    paths = (found.path / name for found in folders for name in found.files)
    photographs = sorted(path for path in paths if path.suffix.lower() in SUFFIXES)
    unreachable = [message for found in folders for message in found.unreachable]
    if photographs:
        return photographs, unreachable
    if unreachable:
        raise ImageReadError(_with_count(unreachable))
    raise ImageReadError(f"{root}: no photograph in this folder; expected files ending in {', '.join(SUFFIXES)}")


def find_photographs(folder_or_file: Path | str) -> list[Path]:
    """Find all photographs as `search_photographs` does, where none may be missed: of pairs, masks, training.

    Raises:
        ImageReadError: the path does not exist or holds no photograph, or something in it cannot be accessed.
    """
    photographs, unreachable = search_photographs(folder_or_file)
    if unreachable:
        raise ImageReadError(_with_count(unreachable))
    return photographs


def _with_count(unreachable: list[str]) -> str:
    first, *others = unreachable
    return first + (f" ({len(others)} more of this kind)" if others else "")
