"""The backbones, adaptors and router that the package ships, by name. Credits: NOTICE."""

from pathlib import Path

from retina_adapt.atomic_files import restore_interrupted_replacement
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean

DEFAULT_BACKBONE = "nano"
_FOLDER = Path(__file__).parent
# The file by which a folder is told from one that only happens to have an embedded model's name.
_MARKS = {"backbones": "model_index.json", "adaptors": "adaptor_config.json"}


class UnknownModelError(RetinaAdaptError):
    """A name that is neither an embedded model nor a path to one."""


def embedded_names(kind: str) -> list[str]:
    """Names of the embedded `backbones` or `adaptors`."""
    return sorted(path.name for path in (_FOLDER / kind).iterdir() if path.is_dir())


def backbone_folder(name_or_folder: str | Path) -> Path:
    """The folder of an embedded backbone, or the folder given, which wins over an embedded name if it holds a backbone.

    Raises:
        UnknownModelError: it is neither.
    """
    given = Path(name_or_folder)
    return given if _is_meant(name_or_folder, "backbones") else embedded_folder("backbones", name_or_folder, "a folder")


def adaptor_folder(name_or_path: str | Path) -> Path:
    """The folder of an embedded adaptor, or the folder or single file given.

    A file, or a folder that holds an adaptor, wins over an embedded name.

    Raises:
        UnknownModelError: it is neither.
    """
    given = Path(name_or_path)
    if given.is_file() or _is_meant(name_or_path, "adaptors"):
        return given
    return embedded_folder("adaptors", name_or_path, "a folder, nor a file")


def router_folder() -> Path:
    """The folder of the embedded router, see `retina_adapt.routing`."""
    return _FOLDER / "router"


def embedded_folder(kind: str, name: str | Path, otherwise: str = "known") -> Path:
    """The folder of the embedded one of the `backbones` or `adaptors` with this name, whatever else bears it.

    Args:
        otherwise: what it might have been instead, for the error.

    Raises:
        UnknownModelError: there is none.
    """
    names = embedded_names(kind)
    if str(name) in names:
        return _FOLDER / kind / str(name)
    raise UnknownModelError(
        f"{name}: neither {otherwise} nor one of the embedded {kind}: {', '.join(names) or 'none'}"
        + did_you_mean(str(name), names)
    )


def _is_meant(given: str | Path, kind: str) -> bool:
    """Whether a folder is given, rather than the name of an embedded model that some other folder here has too."""
    folder = Path(given)
    restore_interrupted_replacement(folder)
    return folder.is_dir() and (str(given) not in embedded_names(kind) or (folder / _MARKS[kind]).is_file())
