"""An adaptor on disk: a small folder, written atomically and read with every check before a tensor is used.

adaptor/
    adaptor_model.safetensors     tensors; the header holds format version, kind and backbone fingerprint
    adaptor_config.json           the kind's settings and the typed metadata
    README.md                     the card
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft.mapping
import safetensors
import safetensors.torch
import torch
from peft import PeftConfig, PeftModel
from torch import Tensor

from retina_adapt.adaptors.attach import (
    adaptor_branches,
    attach_adaptor,
    backbone_tensors,
    detach_adaptor,
    named_adaptor_parameters,
)
from retina_adapt.adaptors.card import render_card
from retina_adapt.adaptors.metadata import AdaptorMetadata
from retina_adapt.adaptors.registration import AdaptorKind
from retina_adapt.adaptors.residual.config import AdaptorConfigError
from retina_adapt.atomic_files import restore_interrupted_replacement, write_folder_atomically
from retina_adapt.backbones import HookPointError, ReconstructionBackbone, fingerprint_tensors
from retina_adapt.errors import RetinaAdaptError

TENSORS_FILE = "adaptor_model.safetensors"
CONFIG_FILE = "adaptor_config.json"
CARD_FILE = "README.md"
FORMAT_VERSION = "1"
TENSOR_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class AdaptorFileError(RetinaAdaptError):
    """An adaptor folder that is missing, damaged, or does not fit the backbone."""


@dataclass(frozen=True)
class AdaptorDescription:
    """What an adaptor folder says of itself, before any tensor is read.

    Attributes:
        kind: the adaptor's kind.
        backbone_fingerprint: of the backbone that it was trained on.
        settings: the kind's settings.
        metadata: where it comes from and what it is for.
    """

    kind: AdaptorKind
    backbone_fingerprint: str
    settings: PeftConfig
    metadata: AdaptorMetadata


def save_adaptor(adapted: PeftModel, name: str, folder: str | Path, metadata: AdaptorMetadata) -> None:
    """Write the adaptor `name` to `folder`, atomically; an adaptor that lies there is replaced.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        AdaptorFileError: `folder` holds something else, which would be lost.
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or (folder / CONFIG_FILE).exists())):
        raise AdaptorFileError(f"{folder}: holds something that is no adaptor; give a new folder")
    tensors = _adaptor_tensors(adapted, name)
    settings = adapted.peft_config[name]
    fingerprint = fingerprint_tensors(backbone_tensors(adapted.get_base_model()))
    header = {
        "format": "pt",
        "format_version": FORMAT_VERSION,
        "adaptor_kind": str(settings.peft_type.value),
        "backbone_fingerprint": fingerprint,
    }
    config = {
        "format_version": FORMAT_VERSION,
        "adaptor_kind": str(settings.peft_type.value),
        "backbone_fingerprint": fingerprint,
        "settings": _own_settings(settings),
        "metadata": metadata.to_dict(),
    }
    with write_folder_atomically(folder) as temporary:
        contiguous = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        safetensors.torch.save_file(contiguous, temporary / TENSORS_FILE, metadata=header)
        (temporary / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        card = render_card(
            folder.name,
            description=AdaptorDescription(settings.peft_type, fingerprint, settings, metadata),
            parameters=sum(tensor.numel() for tensor in tensors.values()),
            megabytes=(temporary / TENSORS_FILE).stat().st_size / 1e6,
        )
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")


def describe_adaptor(folder: str | Path) -> AdaptorDescription:
    """Read and check an adaptor's configuration.

    Raises:
        AdaptorFileError: the folder or its configuration is missing, damaged, or of an unknown kind or version.
    """
    folder = Path(folder)
    restore_interrupted_replacement(folder)
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AdaptorFileError(
            f"{path}: no such file; an adaptor is a folder with {CONFIG_FILE} and {TENSORS_FILE}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise AdaptorFileError(f"{path}: cannot be read as JSON: {error}") from error
    expected = {"format_version", "adaptor_kind", "backbone_fingerprint", "settings", "metadata"}
    if not isinstance(config, dict) or set(config) != expected:
        raise AdaptorFileError(f"{path}: must hold exactly the keys {', '.join(sorted(expected))}")
    if config["format_version"] != FORMAT_VERSION:
        raise AdaptorFileError(
            f"{path}: format version {config['format_version']!r}, but this retina_adapt reads {FORMAT_VERSION!r}; "
            "install the version that wrote it"
        )
    kinds = [kind.value for kind in AdaptorKind]
    if config["adaptor_kind"] not in kinds:
        raise AdaptorFileError(f"{path}: unknown adaptor kind {config['adaptor_kind']!r}; known: {', '.join(kinds)}")
    if not isinstance(config["backbone_fingerprint"], str):
        raise AdaptorFileError(f"{path}: backbone_fingerprint is {config['backbone_fingerprint']!r}, expected text")
    kind = AdaptorKind(config["adaptor_kind"])
    settings_class = peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING[kind]
    try:
        known = set(_own_settings(settings_class()))
        if set(config["settings"]) != known:
            differing = ", ".join(sorted(set(config["settings"]) ^ known))
            raise AdaptorFileError(f"{path}: settings unknown or missing for the kind {kind.value}: {differing}")
        settings = settings_class(**config["settings"])
        metadata = AdaptorMetadata.from_dict(config["metadata"], origin=str(path))
    except AdaptorConfigError as error:
        raise AdaptorFileError(f"{path}: {error}") from error
    except (TypeError, AttributeError) as error:
        raise AdaptorFileError(f"{path}: settings or metadata not understood: {error}") from error
    return AdaptorDescription(kind, config["backbone_fingerprint"], settings, metadata)


def load_adaptor(backbone: ReconstructionBackbone | PeftModel, folder: str | Path, name: str) -> PeftModel:
    """Attach the adaptor in `folder` under `name`; the first one becomes active. Nothing is attached on an error.

    Raises:
        AdaptorFileError: names the file and what is wrong: another backbone's adaptor, or a tensor that is missing,
            unexpected, misshapen or not finite.
        AdaptorNameError: the name is taken.
    """
    folder = Path(folder)
    description = describe_adaptor(folder)
    base = backbone.get_base_model() if isinstance(backbone, PeftModel) else backbone
    fingerprint = fingerprint_tensors(backbone_tensors(base))
    if description.backbone_fingerprint != fingerprint:
        raise AdaptorFileError(
            f"{folder}: was trained on the backbone {description.metadata.backbone_name} with fingerprint "
            f"{description.backbone_fingerprint[:12]}…, not {fingerprint[:12]}…; load that backbone, "
            "or train an adaptor for this one with recipes/adapt.py"
        )
    tensors = _read_tensors(folder / TENSORS_FILE, description)
    try:
        # Without values: a file of absurd settings costs no memory before its tensors are found not to fit.
        adapted = attach_adaptor(backbone, description.settings, name, without_values=True)
    except HookPointError as error:
        raise AdaptorFileError(f"{folder / CONFIG_FILE}: {error}") from error
    try:
        _fill(adapted, name, tensors, folder / TENSORS_FILE)
    except AdaptorFileError:
        detach_adaptor(adapted, name)
        raise
    adapted.requires_grad_(False)
    return adapted


def _adaptor_tensors(adapted: PeftModel, name: str) -> dict[str, Tensor]:
    """Tensors by `<hook point>.<parameter>`, as they stand in the file."""
    return dict(named_adaptor_parameters(adapted, name))


def _read_tensors(path: Path, description: AdaptorDescription) -> dict[str, Tensor]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        tensors = safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise AdaptorFileError(f"{path}: no such file; the adaptor folder is incomplete") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise AdaptorFileError(
            f"{path}: not a whole safetensors file ({error}); fetch or export the adaptor again"
        ) from error
    for key, expected in (
        ("format_version", FORMAT_VERSION),
        ("adaptor_kind", description.kind.value),
        ("backbone_fingerprint", description.backbone_fingerprint),
    ):
        if header.get(key) != expected:
            raise AdaptorFileError(
                f"{path}: its header says {key} = {header.get(key)!r}, but {CONFIG_FILE} says {expected!r}; "
                "the two files do not belong together"
            )
    return tensors


def _fill(adapted: PeftModel, name: str, tensors: dict[str, Tensor], path: Path) -> None:
    expected = _adaptor_tensors(adapted, name)
    for problem, names in (
        ("missing", sorted(expected.keys() - tensors.keys())),
        ("unexpected", sorted(tensors.keys() - expected.keys())),
    ):
        if names:
            raise AdaptorFileError(f"{path}: {len(names)} tensors {problem}, the first being '{names[0]}'")
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape or tensor.dtype not in TENSOR_DTYPES:
            raise AdaptorFileError(
                f"{path}: tensor '{key}' is {tensor.dtype} {tuple(tensor.shape)}, expected floating point "
                f"{tuple(expected[key].shape)}"
            )
        if not tensor.isfinite().all():
            raise AdaptorFileError(f"{path}: tensor '{key}' holds NaN or infinite values")
    device = next(iter(backbone_tensors(adapted.get_base_model()).values())).device
    for point, branch in adaptor_branches(adapted, name):
        # Copied: what safetensors reads may still be a view of the file, which somebody may overwrite.
        values = {
            key: tensors[f"{point.name}.{key}"].to(device, torch.float32, copy=True)
            for key, _ in branch.named_parameters()
        }
        branch.load_state_dict(values, assign=True)


def _own_settings(settings: PeftConfig) -> dict[str, Any]:
    """The settings that the kind itself defines, without PEFT's bookkeeping; `target_modules` is found anew."""
    inherited = {item.name for item in dataclasses.fields(PeftConfig)} | {"target_modules"}
    own = [item.name for item in dataclasses.fields(settings) if item.name not in inherited]
    return {name: getattr(settings, name) for name in own}
