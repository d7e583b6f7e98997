"""A photograph with what the camera recorded, and the files that may hold one.

Pixels are float32 in [0, 1], upright, RGB or grey; bit depth, alpha, colour profile and EXIF travel along, so
that a photograph which is read and written again in a lossless format keeps every sample bit for bit.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from retina_adapt.errors import RetinaAdaptError
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
        bit_depth: bits a sample in the file, 8 or 16.
        alpha: opacity, float32 (H, W) in [0, 1]; None where the file has none.
        icc_profile: embedded colour profile. Pixels are in its colour space, not converted.
        exif: EXIF block without its orientation tag, which `pixels` already obey.
        source: file that it was read from; None where it was decoded from bytes.
        provenance: what made an enhanced image; None for a camera's own.
        dicom_header: of a photograph read from DICOM, what the object says of patient, study and camera.
    """

    pixels: np.ndarray
    bit_depth: int = 8
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    source: Path | None = None
    provenance: Provenance | None = None
    dicom_header: bytes | None = None


def visible_files(folder: Path) -> Iterator[Path]:
    """All files in a folder and its subfolders, linked ones too, but for what is hidden."""
    return (below / name for below, names in visible_folders(folder) for name in names)


def visible_folders(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all below it that are not hidden, each with the names of its files, sorted.

    Args:
        above: where the search has come through, resolved: a link back to there would lead in circles.
    """
    own_place = folder.resolve()
    if own_place in above:
        return
    try:
        entries = sorted(folder.iterdir())
    except PermissionError:
        return
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    kinds = {entry: _kind_of(entry) for entry in visible}
    yield folder, [entry.name for entry, kind in kinds.items() if kind == "file"]
    for entry, kind in kinds.items():
        if kind == "folder":
            yield from visible_folders(entry, (*above, own_place))


def unreachable_below(folder: Path) -> Iterator[str]:
    """What `visible_folders` passes over though it may hold photographs, each with the reason and the remedy."""
    for below, _ in visible_folders(folder):
        for entry in sorted(below.iterdir()):
            if entry.name.startswith("."):
                continue
            try:
                if stat.S_ISDIR(entry.stat().st_mode):
                    next(entry.iterdir(), None)
            except FileNotFoundError:
                if entry.suffix.lower() in ("", *SUFFIXES):
                    yield f"{entry}: is a link that leads nowhere; is the disk that it leads to mounted?"
            except OSError as error:
                yield f"{entry}: cannot be reached ({error.strerror}); give the right to read it, or leave it out"


def _kind_of(entry: Path) -> Literal["file", "folder", ""]:
    """What it is, or leads to; "" for neither, and for what may not be looked at."""
    try:
        mode = entry.stat().st_mode
    except OSError:
        return ""
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else ""


def find_photographs(folder_or_file: Path | str) -> list[Path]:
    """All photographs in a folder and its subfolders, by suffix and sorted; a file stands for itself.

    Hidden files and folders are left out: they hold previews, partial files and the trash of other programs. Linked
    folders are searched as if they were there.

    Raises:
        ImageReadError: the path does not exist or holds no photograph.
    """
    root = Path(folder_or_file)
    if root.is_file():
        return [root]
    if not root.is_dir():
        looked_in = "" if root.is_absolute() else f" (it was looked for in {Path.cwd()})"
        raise ImageReadError(f"{root}: there is no such file or folder; check the path{looked_in}")
    found = sorted(path for path in visible_files(root) if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ImageReadError(f"{root}: no photograph in this folder; expected files ending in {', '.join(SUFFIXES)}")
    return found
