"""A router on disk: settings and metadata in JSON, tensors in safetensors, and a card; read strictly.

router/
    router_config.json
    router_model.safetensors
    README.md
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch

from retina_adapt.atomic_files import restore_interrupted_replacement, write_folder_atomically
from retina_adapt.routing.card import render_card
from retina_adapt.routing.errors import RouterFileError
from retina_adapt.routing.router import Router, build_network
from retina_adapt.routing.settings import RouterMetadata, RouterSettings

CONFIG_FILE = "router_config.json"
TENSORS_FILE = "router_model.safetensors"
CARD_FILE = "README.md"
_FORMAT_VERSION = 1

Record = TypeVar("Record", RouterSettings, RouterMetadata)


def save_router(router: Router, folder: str | Path, metadata: RouterMetadata) -> None:
    """Write the router to `folder`, atomically; an existing router there is replaced."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in router.network.state_dict().items()}
    content = {
        "format_version": _FORMAT_VERSION,
        "settings": dataclasses.asdict(router.settings),
        "metadata": dataclasses.asdict(metadata),
    }
    parameters = sum(tensor.numel() for tensor in tensors.values())
    with write_folder_atomically(folder) as temporary:
        (temporary / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        safetensors.torch.save_file(tensors, temporary / TENSORS_FILE)
        card = render_card(router.settings, metadata, parameters=parameters)
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")


def load_router(folder: str | Path) -> Router:
    """Read a router from `folder`, in evaluation mode, on the CPU.

    Raises:
        RouterFileError: names the file that is missing, or the setting or tensor that does not fit.
        RouterSettingsError: a setting is out of range.
    """
    folder = Path(folder)
    restore_interrupted_replacement(folder)
    settings, _ = _read_config(folder / CONFIG_FILE)
    path = folder / TENSORS_FILE
    network = build_network(settings)
    try:
        tensors = safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise RouterFileError(f"{path}: no such file; the router folder is incomplete") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise RouterFileError(f"{path}: is no safetensors file ({error}); get the router again") from error
    expected = {name: (tensor.dtype, tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
    if differing := sorted({name for name, _ in expected.items() ^ found.items()}):
        raise RouterFileError(
            f"{path}: tensors missing, unexpected or of another shape or type than {CONFIG_FILE} says: "
            f"{', '.join(differing[:3])}{' …' if len(differing) > 3 else ''}; get the router again"
        )
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise RouterFileError(f"{path}: {broken[0]} holds values that are not finite; get the router again")
    network.load_state_dict(tensors)
    return Router(network.eval().requires_grad_(False), settings)


def read_router_metadata(folder: str | Path) -> RouterMetadata:
    """What the router's file says of its training.

    Raises:
        RouterFileError, RouterSettingsError: as for `load_router`.
    """
    return _read_config(Path(folder) / CONFIG_FILE)[1]


def _read_config(path: Path) -> tuple[RouterSettings, RouterMetadata]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RouterFileError(
            f"{path}: no such file; a router folder holds {CONFIG_FILE} and {TENSORS_FILE}"
        ) from error
    except (OSError, ValueError) as error:
        raise RouterFileError(f"{path}: is not valid JSON: {error}") from error
    if not isinstance(content, dict) or set(content) != {"format_version", "settings", "metadata"}:
        raise RouterFileError(f"{path}: must hold format_version, settings and metadata, and nothing else")
    if content["format_version"] != _FORMAT_VERSION:
        raise RouterFileError(
            f"{path}: has format {content['format_version']}, but this version of retina_adapt reads format "
            f"{_FORMAT_VERSION}; use the version that wrote it, or a newer one"
        )
    settings = _read_record(path, "settings", content["settings"], RouterSettings)
    return settings, _read_record(path, "metadata", content["metadata"], RouterMetadata)


def _read_record(path: Path, section: str, values: Any, record_class: type[Record]) -> Record:
    known = {field.name for field in dataclasses.fields(record_class)}
    if not isinstance(values, dict) or set(values) != known:
        differing = sorted(known ^ set(values)) if isinstance(values, dict) else sorted(known)
        raise RouterFileError(f"{path}: {section}: missing or unknown: {', '.join(differing)}")
    values = {key: tuple(value) if key in ("channels", "classes") else value for key, value in values.items()}
    try:
        return record_class(**values)
    except (TypeError, ValueError) as error:
        raise RouterFileError(f"{path}: {section}: not understood: {error}") from error
