"""Which photographs a command works on, and where the result of each goes."""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retina_adapt.commands.journal import JOURNALS
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import ImageReadError
from retina_adapt.imaging.dicom import SIGNATURE_END, is_dicom
from retina_adapt.imaging.photograph import SUFFIXES, search_photographs, visible_folders

# Kinds of pictures that cameras and viewers write but this package does not read.
_OTHER_PICTURES = (".bmp", ".gif", ".webp", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pdf", ".dng")


class OutputFolderError(RetinaAdaptError):
    """An unusable output folder: results would overwrite other files or each other, or cannot be written there."""


@dataclass(frozen=True)
class ListedPhotograph:
    """A photograph's file, and its path relative to the source folder, which its result has in the output folder."""

    path: Path
    relative: Path


def list_photographs(sources: Sequence[Path], output: Path, results_mark: str = JOURNALS) -> list[ListedPhotograph]:
    """Find photographs, sorted by their place in the output.

    Args:
        sources: files, folders, which are searched with their subfolders, or patterns such as `scans/**/*.png`, whose
            results keep the folders from the first wildcard on.
        output: folder for the results; what it holds is not input.
        results_mark: name, or a pattern, of a file that the command leaves in each folder of results. What such a
            folder below a source holds is not input either, nor are results of `enhance`.

    Raises:
        OutputFolderError: `output` is a source folder or holds all of a source, a source holds only results of earlier
            runs, a result would overwrite its photograph, or two photographs would have the same result.
        ImageReadError: a source does not exist or holds no photograph.
    """
    listed: dict[Path, Path] = {}
    taken: set[Path] = set()
    inside = output.resolve()
    for source in sources:
        root, found = _found_in(source)
        if inside == root.resolve():
            raise OutputFolderError(f"{output}: is where the photographs are; name another folder for the results")
        results = result_folders(source, results_mark)
        inputs = [path for path in found if inside not in path.resolve().parents]
        inputs = [path for path in inputs if not any(folder in path.parents for folder in results)]
        if not inputs and results:
            raise OutputFolderError(
                f"{source}: holds nothing but results of an earlier run ({', '.join(map(str, results))}); if you mean "
                "those, name their folder itself"
            )
        if not inputs:
            raise OutputFolderError(
                f"{output}: all photographs of {source} lie in it; name another folder for the results"
            )
        for path in inputs:
            relative = path.relative_to(root)
            # If sources overlap, the first that holds a photograph determines where its result goes.
            if path.absolute() in taken:
                continue
            taken.add(path.absolute())
            known = listed.setdefault(relative, path)
            if known.resolve() != path.resolve():
                raise OutputFolderError(
                    f"{known} and {path} would both be written to {output / relative}; "
                    "run the command for each, with an output folder of its own"
                )
    require_photographs_stay(listed.values(), [output / relative for relative in listed])
    return [ListedPhotograph(path, relative) for relative, path in sorted(listed.items())]


def require_photographs_stay(photographs: Iterable[Path], targets: Iterable[Path]) -> None:
    """Refuse a result in the place of any of these photographs, even if reached through links or mounts.

    Raises:
        OutputFolderError: names the place and the photograph.
    """
    taken = {place: photograph for photograph in photographs if (place := _place_of(photograph))}
    for target in targets:
        if (place := _place_of(target)) in taken:
            raise OutputFolderError(
                f"{target}: is the photograph {taken[place]} itself, reached by a link or under another name of its "
                "folder, and would be overwritten; name another folder for the results"
            )


def _place_of(path: Path) -> tuple[int, int] | None:
    """A value that all names of one file share; None if there is no file."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def result_folders(source: Path, results_mark: str) -> list[Path]:
    """The folders below a source folder that hold `results_mark`, or results of `enhance`."""
    if not source.is_dir():
        return []
    below = [found.path for found in visible_folders(source) if found.path != source]
    return [folder for folder in below if any(any(folder.glob(mark)) for mark in {results_mark, JOURNALS})]


def unreachable_in(sources: Sequence[Path], output: Path, results_mark: str = JOURNALS) -> list[str]:
    """A message for each place in the sources that cannot be accessed, though it may hold photographs.

    Args:
        sources, output, results_mark: see `list_photographs`.
    """
    messages = []
    for source in sources:
        root = _root_of(source)
        # A pattern without ** looks only into the few folders that it names.
        if source.is_file() or not (source.is_dir() or "**" in source.parts):
            continue
        results = {output.resolve(), *(folder.resolve() for folder in result_folders(root, results_mark))}
        for found in visible_folders(root):
            place = found.path.resolve()
            if found.unreachable and not results & {place, *place.parents}:
                messages += found.unreachable
    # Sources may overlap.
    return list(dict.fromkeys(messages))


def pictures_left_alone(sources: Sequence[Path], output: Path, results_mark: str = JOURNALS) -> str:
    """A warning about pictures in the source folders that are results, or not readable; "" if there are none."""
    warnings = []
    results = [
        folder
        for source in sources
        for folder in result_folders(source, results_mark)
        if output.resolve() not in (folder.resolve(), *folder.resolve().parents)
    ]
    if results:
        warnings.append(
            f"{', '.join(map(str, results))}: left alone, because results of an earlier run lie there; if you "
            "mean those, name the folder itself"
        )
    if unread := unread_pictures(sources):
        warnings.append(unread)
    return "; ".join(warnings)


def unread_pictures(folders: Sequence[Path]) -> str:
    """A warning about pictures in the folders that are of kinds that are not read; "" if there are none."""
    found, unnamed = [], []
    searched = (found for folder in folders if folder.is_dir() for found in visible_folders(folder))
    for path in (found.path / name for found in searched for name in found.files):
        suffix = path.suffix.lower()
        if suffix in SUFFIXES:
            continue
        if suffix in _OTHER_PICTURES:
            found.append(path)
        elif _begins_as_dicom(path):
            unnamed.append(path)
    warnings = []
    if found:
        kinds = ", ".join(sorted({path.suffix.lower() for path in found}))
        warnings.append(
            f"{found[0]}: left alone, {len(found)} in all of kinds that are not read ({kinds}); convert them to PNG or "
            "TIFF"
        )
    if unnamed:
        warnings.append(
            f"{unnamed[0]}: left alone, {len(unnamed)} in all that are DICOM by content but not by name; let their "
            "names end in .dcm"
        )
    return "; ".join(warnings)


def _begins_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return is_dicom(stream.read(SIGNATURE_END))
    except OSError:
        return False


def require_new_folder(output: Path, sources: Sequence[Path]) -> None:
    """Require a new or empty folder, for a command that writes it as a whole.

    Raises:
        OutputFolderError: it holds something, or lies in one of the source folders.
    """
    for folder in sources:
        if folder.resolve() in output.resolve().parents:
            raise OutputFolderError(
                f"{output}: lies in {folder}, whose photographs it would add to; give a folder beside it"
            )
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise OutputFolderError(f"{output}: exists already; give a new folder for the pairs")


def make_output_folder(output: Path) -> None:
    """Make the folder for the results, unless it exists.

    Raises:
        OutputFolderError: it cannot be made, or has the name of a picture.
    """
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        raise OutputFolderError(
            f"{output}: names a picture, but results go to a folder, each under its photograph's name; name a folder"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFolderError(
            f"{output}: this folder cannot be made ({error.strerror}); name another one for the results"
        ) from error


def _found_in(source: Path) -> tuple[Path, list[Path]]:
    """The folder that results are relative to, and the photographs."""
    pattern = str(source)
    if source.exists() or not glob.has_magic(pattern):
        return _root_of(source), search_photographs(source)[0]
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - takes any pattern
    found = [path for path in matches if path.is_file()]
    if not found:
        raise ImageReadError(f"{source}: no file matches this pattern; ** stands for any number of folders")
    return _root_of(source), found


def _root_of(source: Path) -> Path:
    """The folder that a source's results are relative to; for a pattern, the one before its first wildcard."""
    if source.exists() or not glob.has_magic(str(source)):
        return source if source.is_dir() else source.parent
    parts = source.parts
    fixed = next(position for position, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])
