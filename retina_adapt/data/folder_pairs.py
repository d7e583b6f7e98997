"""Match the files of two folders into pairs of photographs."""

import os
import unicodedata
from pathlib import Path

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import find_photographs


class PairingError(RetinaAdaptError):
    """Photographs do not pair up as asked; for two folders, the message lists every photograph concerned."""


def require_two_folders(low_folder: str | Path, high_folder: str | Path) -> None:
    """Check that the two sides of the pairs are in different folders.

    Raises:
        PairingError: they are in the same one.
    """
    if Path(low_folder).expanduser().resolve() == Path(high_folder).expanduser().resolve():
        raise PairingError(f"{low_folder}: is both low_folder and high_folder, so nothing would be learnt")


def pair_files(low_folder: str | Path, high_folder: str | Path) -> dict[str, tuple[Path, Path]]:
    """Match the photographs of two folders by file name without suffix; `7.jpg` pairs with `7.png`.

    If both folders have subfolders, for instance one per patient, the photographs of a pair must be in the same
    subfolder of each.

    Returns:
        The low-quality and the clear photograph of each pair, by their common name: without suffix, in Unicode's
        composed form, and preceded by the subfolder if both folders have subfolders.

    Raises:
        ImageReadError: a folder does not exist or holds no photograph.
        PairingError: a folder is a file, a photograph has no partner, a path is not UTF-8, or several files have the
            same name but for the suffix, or, if only one of the folders has subfolders, but for the subfolder.
    """
    low_folder, high_folder = Path(low_folder).expanduser(), Path(high_folder).expanduser()
    for folder in (low_folder, high_folder):
        if folder.is_file():
            raise PairingError(f"{folder}: is a file; give the folder of the photographs, for instance {folder.parent}")
    in_subfolders = all(
        any(path.parent != folder for path in find_photographs(folder)) for folder in (low_folder, high_folder)
    )
    low_paths, high_paths = (_by_name(folder, in_subfolders=in_subfolders) for folder in (low_folder, high_folder))
    problems = [
        f"{folder}: ambiguous name {name!r}: {', '.join(map(str, paths))}"
        for folder, by_name in ((low_folder, low_paths), (high_folder, high_paths))
        for name, paths in by_name.items()
        if len(paths) > 1
    ]
    for name in low_paths.keys() - high_paths.keys():
        problems.append(f"{low_paths[name][0]}: no partner in {high_folder}")
    for name in high_paths.keys() - low_paths.keys():
        problems.append(f"{high_paths[name][0]}: no partner in {low_folder}")
    if problems:
        where = "once a folder, in the same subfolder of each" if in_subfolders else "once a folder"
        raise PairingError(
            f"{low_folder} and {high_folder} do not pair up; name the files of a pair alike, {where}:"
            "\n  " + "\n  ".join(sorted(problems))
        )
    return {name: (paths[0], high_paths[name][0]) for name, paths in low_paths.items()}


def _by_name(folder: Path, *, in_subfolders: bool) -> dict[str, list[Path]]:
    """The photographs of a folder by their names without suffix, with or without the subfolder before it."""
    by_name: dict[str, list[Path]] = {}
    for path in find_photographs(folder):
        name = path.relative_to(folder).with_suffix("").as_posix() if in_subfolders else path.stem
        try:
            str(path.absolute()).encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(path).decode(errors="backslashreplace")
            raise PairingError(f"{shown}: the path is not UTF-8, so no table can hold it; rename it") from error
        # Systems encode the same accented letter in two ways.
        by_name.setdefault(unicodedata.normalize("NFC", name), []).append(path.absolute())
    return by_name
