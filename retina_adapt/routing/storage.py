"""A router on disk, read strictly: settings and metadata in JSON, tensors in safetensors, and a card.

router/
    router_config.json
    router_model.safetensors
    README.md
"""

import dataclasses
import json
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from retina_adapt.atomic_files import (
    require_own_folder,
    restore_interrupted_replacement,
    write_folder_atomically,
)
from retina_adapt.backbones import fingerprint_tensors
from retina_adapt.model_files import ModelFileReader
from retina_adapt.plain_values import record_from_plain
from retina_adapt.routing.card import render_card
from retina_adapt.routing.errors import RouterFileError
from retina_adapt.routing.router import Router, build_network
from retina_adapt.routing.settings import RouterMetadata, RouterSettings

CONFIG_FILE = "router_config.json"
TENSORS_FILE = "router_model.safetensors"
CARD_FILE = "README.md"
_FORMAT_VERSION = 1
_KEYS = {"format_version", "settings", "metadata", "tensors_sha256"}

# The safetensors header of a router, which lists its tensors, is never larger.
_MOST_HEADER_BYTES = 2**16

_reader = ModelFileReader("router", RouterFileError)


def save_router(router: Router, folder: str | Path, metadata: RouterMetadata) -> None:
    """Write the router to `folder`, atomically; a router already there is replaced.

    Raises:
        RouterFileError: `folder` holds something else, which would be lost.
    """
    require_own_folder(folder, CONFIG_FILE, RouterFileError, what="router")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in router.network.state_dict().items()}
    content = {
        "format_version": _FORMAT_VERSION,
        "settings": dataclasses.asdict(router.settings),
        "metadata": dataclasses.asdict(metadata),
        "tensors_sha256": fingerprint_tensors(tensors),
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
        RouterFileError: names the file that is missing or damaged, or the setting or tensor that does not fit.
    """
    folder = Path(folder)
    restore_interrupted_replacement(folder)
    settings, _, tensors_sha256 = _read_config(folder / CONFIG_FILE)
    # Takes no memory and draws no random numbers: it gives names, shapes and types, and later holds the tensors read.
    with torch.device("meta"):
        network = build_network(settings)
    path = folder / TENSORS_FILE
    tensors = _read_tensors(path, network.state_dict())
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise RouterFileError(f"{path}: {broken[0]} holds values that are not finite; get the router again")
    if fingerprint_tensors(tensors) != tensors_sha256:
        raise RouterFileError(
            f"{path}: its tensors are not those that {CONFIG_FILE} was written for (their sha256 differs); get the "
            "whole router again"
        )
    network.load_state_dict(tensors, assign=True)
    return Router(network.eval().requires_grad_(False), settings)


def read_router_metadata(folder: str | Path) -> RouterMetadata:
    """Where the router comes from, as its configuration file says.

    Raises:
        RouterFileError: as for `load_router`.
    """
    restore_interrupted_replacement(folder)
    return _read_config(Path(folder) / CONFIG_FILE)[1]


def _read_tensors(path: Path, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors, checked to have the names, shapes and types of those expected, in their own memory."""
    most_bytes = sum(tensor.nbytes for tensor in expected.values()) + _MOST_HEADER_BYTES
    tensors = _reader.read_tensors(path, most_bytes=most_bytes)
    shapes, found = (
        {name: (tensor.dtype, tensor.shape) for name, tensor in named.items()} for named in (expected, tensors)
    )
    if differing := sorted({name for name, _ in shapes.items() ^ found.items()}):
        raise RouterFileError(
            f"{path}: tensors missing, unexpected or of another shape or type than {CONFIG_FILE} says: "
            f"{', '.join(differing[:3])}{' …' if len(differing) > 3 else ''}; get the router again"
        )
    return tensors


def _read_config(path: Path) -> tuple[RouterSettings, RouterMetadata, str]:
    content = _reader.read_json_object(path)
    if set(content) != _KEYS:
        raise RouterFileError(f"{path}: must hold {', '.join(sorted(_KEYS))}, and nothing else")
    if content["format_version"] != _FORMAT_VERSION:
        raise RouterFileError(
            f"{path}: has format {content['format_version']!r}, but this version of retina_adapt reads format "
            f"{_FORMAT_VERSION}; use the version that wrote it, or a newer one"
        )
    settings = record_from_plain(content["settings"], RouterSettings, origin=f"{path}: settings", error=RouterFileError)
    metadata = record_from_plain(content["metadata"], RouterMetadata, origin=f"{path}: metadata", error=RouterFileError)
    return settings, metadata, content["tensors_sha256"]
