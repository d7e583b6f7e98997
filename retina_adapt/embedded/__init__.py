"""The backbones, adaptors and router shipped with the package, by name. Credits: NOTICE."""

from pathlib import Path

from retina_adapt.atomic_files import restore_interrupted_replacement
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean

DEFAULT_BACKBONE = "nano"
_FOLDER = Path(__file__).parent
# The file that tells a model's folder from one that merely shares an embedded model's name.
_MARKS = {"backbones": "model_index.json", "adaptors": "adaptor_config.json"}


class UnknownModelError(RetinaAdaptError):
    """A name that is neither an embedded model's nor a path to a model."""


def embedded_names(kind: str) -> list[str]:
    """Names of the embedded `backbones` or `adaptors`."""
    return sorted(path.name for path in (_FOLDER / kind).iterdir() if path.is_dir())


def backbone_folder(name_or_folder: str | Path) -> Path:
    """The folder given, or the folder of the embedded backbone of this name.

    If there are both, the folder given wins if it holds a backbone.

    Raises:
        UnknownModelError: there is neither.
    """
    given = Path(name_or_folder)
    return given if _is_meant(name_or_folder, "backbones") else embedded_folder("backbones", name_or_folder, "a folder")


def adaptor_folder(name_or_path: str | Path) -> Path:
    """The folder or single file given, or the folder of the embedded adaptor of this name.

    If there are both, a file wins, and so does a folder that holds an adaptor.

    Raises:
        UnknownModelError: there is neither.
    """
    given = Path(name_or_path)
    if given.is_file() or _is_meant(name_or_path, "adaptors"):
        return given
    return embedded_folder("adaptors", name_or_path, "a folder, nor a file")


def router_folder() -> Path:
    """The folder of the embedded router; see `retina_adapt.routing`."""
    return _FOLDER / "router"


def embedded_folder(kind: str, name: str | Path, otherwise: str = "known") -> Path:
    """The folder of the embedded backbone or adaptor of this name, even if a local folder has the name too.

    Args:
        kind: `backbones` or `adaptors`.
        otherwise: what else the name could have been, for the error.

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
    """Whether a folder is meant, rather than an embedded model whose name some folder here happens to share."""
    folder = Path(given)
    restore_interrupted_replacement(folder)
    return folder.is_dir() and (str(given) not in embedded_names(kind) or (folder / _MARKS[kind]).is_file())
