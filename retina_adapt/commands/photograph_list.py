"""Which photographs a command works on, and where the result of each goes."""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retina_adapt.commands.journal import JOURNALS
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import ImageReadError
from retina_adapt.imaging.dicom import SIGNATURE_END, is_dicom
from retina_adapt.imaging.photograph import SUFFIXES, VisibleFolder, search_photographs, visible_folders

# Kinds of pictures that cameras and viewers write but this package does not read.
_OTHER_PICTURES = (".bmp", ".gif", ".webp", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pdf", ".dng")


class OutputFolderError(RetinaAdaptError):
    """An unusable output folder: results would overwrite other files or each other, or cannot be written there."""


@dataclass(frozen=True)
class ListedPhotograph:
    """A photograph's file, and its path relative to the source folder, which its result has in the output folder."""

    path: Path
    relative: Path


@dataclass(frozen=True)
class PhotographList:
    """What was found in the sources of a command.

    Attributes:
        photographs: sorted by their place in the output.
        unreachable: a message for each place that cannot be accessed, though it may hold photographs.
        left_alone: a warning about pictures that are results of earlier runs, or of kinds that are not read; "" if
            there are none.
    """

    photographs: list[ListedPhotograph]
    unreachable: list[str]
    left_alone: str


def list_photographs(sources: Sequence[Path], output: Path, results_mark: str = JOURNALS) -> PhotographList:
    """Find photographs, and what else the user should know of the places that were searched.

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
    # Without repetitions, since sources may overlap.
    unreachable: dict[str, None] = {}
    results: dict[Path, None] = {}
    whole_folders: dict[Path, VisibleFolder] = {}
    for source in sources:
        found = _search(source, output, results_mark)
        for path in found.photographs:
            relative = path.relative_to(found.root)
            # The first source that holds a photograph determines where its result goes.
            if path.absolute() in taken:
                continue
            taken.add(path.absolute())
            known = listed.setdefault(relative, path)
            if known.resolve() != path.resolve():
                raise OutputFolderError(
                    f"{known} and {path} would both be written to {output / relative}; "
                    "run the command for each, with an output folder of its own"
                )
        unreachable |= dict.fromkeys(message for folder in found.folders.values() for message in folder.unreachable)
        results |= dict.fromkeys(found.results)
        if source.is_dir():
            # A pattern leaves out what it leaves out on purpose.
            whole_folders |= found.folders
    require_photographs_stay(listed.values(), [output / relative for relative in listed])
    left_alone = [_unread_pictures(whole_folders.values())]
    if results:
        left_alone.insert(
            0,
            f"{', '.join(map(str, results))}: left alone, because results of an earlier run lie there; if you mean "
            "those, name the folder itself",
        )
    return PhotographList(
        photographs=[ListedPhotograph(path, relative) for relative, path in sorted(listed.items())],
        unreachable=list(unreachable),
        left_alone="; ".join(filter(None, left_alone)),
    )


@dataclass(frozen=True)
class _SearchedSource:
    """What one source holds.

    Attributes:
        root: the folder that results are relative to.
        photographs: those that are input.
        results: folders with results of earlier runs, except those in the output folder.
        folders: the other folders, by their resolved paths; none if the source names all of its folders.
    """

    root: Path
    photographs: list[Path]
    results: list[Path]
    folders: dict[Path, VisibleFolder]


def _search(source: Path, output: Path, results_mark: str) -> _SearchedSource:
    root, found = _found_in(source)
    inside = output.resolve()
    if inside == root.resolve():
        raise OutputFolderError(f"{output}: is where the photographs are; name another folder for the results")
    searches_below = source.is_dir() or (not source.exists() and "**" in source.parts)
    folders = {folder.path: folder for folder in visible_folders(root)} if searches_below else {}
    below = {folder for path in found for folder in path.parents if root in folder.parents} | folders.keys() - {root}
    results = [folder for folder in sorted(below) if any(any(folder.glob(mark)) for mark in {results_mark, JOURNALS})]
    no_input = {inside, *(folder.resolve() for folder in results)}
    photographs = [path for path in found if inside not in path.resolve().parents]
    photographs = [path for path in photographs if not any(folder in path.parents for folder in results)]
    if not photographs and results:
        raise OutputFolderError(
            f"{source}: holds nothing but results of an earlier run ({', '.join(map(str, results))}); if you mean "
            "those, name their folder itself"
        )
    if not photographs:
        raise OutputFolderError(f"{output}: all photographs of {source} lie in it; name another folder for the results")
    places = {folder.path.resolve(): folder for folder in folders.values()}
    return _SearchedSource(
        root=root,
        photographs=photographs,
        results=[folder for folder in results if inside not in (folder.resolve(), *folder.resolve().parents)],
        folders={place: folder for place, folder in places.items() if not no_input & {place, *place.parents}},
    )


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


def unread_pictures(folders: Iterable[Path]) -> str:
    """A warning about pictures in the folders that are of kinds that are not read; "" if there are none."""
    return _unread_pictures(found for folder in folders for found in visible_folders(folder))


def _unread_pictures(searched: Iterable[VisibleFolder]) -> str:
    found, unnamed = [], []
    for path in (folder.path / name for folder in searched for name in folder.files):
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
