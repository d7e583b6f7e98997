"""The backbones and adaptors that the package ships, by name. Credits: NOTICE."""

from pathlib import Path

from retina_adapt.errors import RetinaAdaptError

DEFAULT_BACKBONE = "nano"
_FOLDER = Path(__file__).parent


class UnknownModelError(RetinaAdaptError):
    """A name that is neither an embedded model nor a folder."""


def embedded_names(kind: str) -> list[str]:
    """Names of the embedded `backbones` or `adaptors`."""
    return sorted(path.name for path in (_FOLDER / kind).iterdir() if path.is_dir())


def backbone_folder(name_or_folder: str | Path) -> Path:
    """The folder of an embedded backbone, or the folder given. A folder wins over an embedded name."""
    return _find("backbones", name_or_folder)


def adaptor_folder(name_or_folder: str | Path) -> Path:
    """The folder of an embedded adaptor, or the folder given. A folder wins over an embedded name."""
    return _find("adaptors", name_or_folder)


def _find(kind: str, name_or_folder: str | Path) -> Path:
    given = Path(name_or_folder)
    if given.is_dir():
        return given
    names = embedded_names(kind)
    if str(name_or_folder) in names:
        return _FOLDER / kind / str(name_or_folder)
    raise UnknownModelError(
        f"{name_or_folder}: neither a folder nor one of the embedded {kind}: {', '.join(names) or 'none'}"
    )
