"""A saved adaptor, and changes to its files: as damage makes them, or with sums that fit again, as a forger does."""

import json
from collections.abc import Callable
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from toy_adaptors import METADATA, disturb

from retina_adapt.adaptors import (
    AdaptorDescription,
    AdaptorMetadata,
    AdaptorSettings,
    attach_adaptor,
    detach_adaptor,
    save_adaptor,
)
from retina_adapt.adaptors.integrity import content_sha256
from retina_adapt.backbones import ReconstructionBackbone, fingerprint_tensors

TENSORS = "adaptor_model.safetensors"
CONFIG = "adaptor_config.json"
CARD = "README.md"
SMALL = AdaptorSettings(hook_groups=["encoder"], bottleneck_channels=4, context_grid=0)


def save_toy_adaptor(
    backbone: ReconstructionBackbone,
    folder: Path,
    *,
    seed: int = 0,
    metadata: AdaptorMetadata = METADATA,
    settings: AdaptorSettings = SMALL,
) -> AdaptorDescription:
    """Save an adaptor with weights that change the output; the backbone is left without adaptors."""
    torch.manual_seed(seed)
    adapted = attach_adaptor(backbone, settings.to_peft_config(), "made")
    disturb(adapted, "made", seed)
    description = save_adaptor(adapted, "made", folder, metadata)
    detach_adaptor(adapted, "made")
    return description


def read_config(folder: Path) -> dict:
    return json.loads((folder / CONFIG).read_text())


def change_config(folder: Path, change: Callable[[dict], object]) -> None:
    """Leaves the sums as they were."""
    config = read_config(folder)
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))


def change_tensors(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Leaves the header and the sums as they were."""
    with safetensors.safe_open(folder / TENSORS, framework="pt") as file:
        header = file.metadata()
    tensors = safetensors.torch.load_file(folder / TENSORS)
    change(tensors)
    safetensors.torch.save_file(tensors, folder / TENSORS, metadata=header)


def reseal(folder: Path) -> None:
    """Make all sums and the header fit what the files hold."""
    tensors, config = safetensors.torch.load_file(folder / TENSORS), read_config(folder)
    config["tensors_sha256"] = fingerprint_tensors(tensors)
    config["sha256"] = content_sha256({key: value for key, value in config.items() if key != "sha256"})
    (folder / CONFIG).write_text(json.dumps(config))
    header = {
        "format": "pt",
        "format_version": str(config["format_version"]),
        "adaptor_kind": str(config["adaptor_kind"]),
        "backbone_fingerprint": str(config["backbone_fingerprint"]),
        "sha256": config["sha256"],
    }
    safetensors.torch.save_file(tensors, folder / TENSORS, metadata=header)
