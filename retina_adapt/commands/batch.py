"""Many photographs, one after the other: a broken one is reported at the end and does not stop the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import find_photographs


class OutputFolderError(RetinaAdaptError):
    """Results would overwrite the photographs that they are made from."""


@dataclass
class BatchResult:
    """Files written, and one message for each photograph that failed."""

    written: list[Path] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def process_photographs(
    source: Path,
    output: Path,
    process: Callable[[Path, Path], Sequence[Path]],
    *,
    description: str,
    console: Console,
) -> BatchResult:
    """Call `process(photograph, path below the output folder)` for each photograph below `source`.

    Args:
        source: a folder, searched with its subfolders, or one file.
        output: the folder that the results go to, with the subfolders of `source`.
        process: writes its results and returns their paths.

    Raises:
        OutputFolderError: if `output` is `source`.
        ImageReadError: if `source` holds no photograph.
    """
    found = find_photographs(source)
    if output.resolve() == (source if source.is_dir() else source.parent).resolve():
        raise OutputFolderError(f"{output}: is where the photographs are; name another folder for the results")
    # Results of an earlier run may lie below the source folder: they are no input.
    inside = output.resolve()
    photographs = [path for path in found if inside not in path.resolve().parents]
    root = source if source.is_dir() else source.parent
    result = BatchResult()
    for path in track(photographs, description=description, console=console, transient=True):
        try:
            result.written += process(path, output / path.relative_to(root))
        except RetinaAdaptError as error:
            message = str(error)
            result.failures.append(message if path.name in message else f"{path}: {message}")
    return result
