"""The backbones, adaptors and router that the package ships, by name. Credits: NOTICE."""

from pathlib import Path

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean

DEFAULT_BACKBONE = "nano"
_FOLDER = Path(__file__).parent


class UnknownModelError(RetinaAdaptError):
    """A name that is neither an embedded model nor a path to one."""


def embedded_names(kind: str) -> list[str]:
    """Names of the embedded `backbones` or `adaptors`."""
    return sorted(path.name for path in (_FOLDER / kind).iterdir() if path.is_dir())


def backbone_folder(name_or_folder: str | Path) -> Path:
    """The folder of an embedded backbone, or the folder given. A folder wins over an embedded name.

    Raises:
        UnknownModelError: it is neither.
    """
    given = Path(name_or_folder)
    return given if given.is_dir() else _embedded("backbones", name_or_folder, "a folder")


def adaptor_folder(name_or_path: str | Path) -> Path:
    """The folder of an embedded adaptor, or the folder or single file given, which wins over an embedded name.

    Raises:
        UnknownModelError: it is neither.
    """
    given = Path(name_or_path)
    if given.is_dir() or given.is_file():
        return given
    return _embedded("adaptors", name_or_path, "a folder, nor a file")


def router_folder() -> Path:
    """The folder of the embedded router, see `retina_adapt.routing`."""
    return _FOLDER / "router"


def _embedded(kind: str, name: str | Path, otherwise: str) -> Path:
    names = embedded_names(kind)
    if str(name) in names:
        return _FOLDER / kind / str(name)
    raise UnknownModelError(
        f"{name}: neither {otherwise} nor one of the embedded {kind}: {', '.join(names) or 'none'}"
        + did_you_mean(str(name), names)
    )
