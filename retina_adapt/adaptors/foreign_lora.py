"""LoRA and DoRA from PEFT or diffusers, converted to adaptors of this package.

Ours have one rank and one scale in all layers of their hook groups. Converting others leaves their effect unchanged:
lower ranks are padded with zeros, scales are multiplied into `lora_B`, and layers that they leave alone start as the
identity.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor

from retina_adapt.adaptors.attach import assign_or_detach, attach_adaptor
from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.hook_point.config import AdaptorConfigError
from retina_adapt.adaptors.layers import backbone_of, hook_point_of
from retina_adapt.adaptors.layout import PEFT_CONFIG_FILE, adaptor_reader
from retina_adapt.adaptors.peft_layout import DORA_MAGNITUDE, PEFT_PREFIX, PEFT_TENSORS_FILE
from retina_adapt.adaptors.rehearsal import rehearse_attaching
from retina_adapt.adaptors.tensors import (
    AdaptorTensorError,
    adaptor_tensors,
    check_adaptor_tensors,
)
from retina_adapt.adaptors.weight_deltas import DoraAdaptorConfig, LoraAdaptorConfig, target_layers
from retina_adapt.backbones import ReconstructionBackbone
from retina_adapt.backbones.hook_points import HOOK_GROUPS
from retina_adapt.plain_values import fits_type

DIFFUSERS_SETTINGS_KEY = "lora_adapter_metadata"
# Names of a diffusers pipeline's parts in its LoRA files, and of ours.
PIPELINE_PARTS = {"unet.": "denoiser.", "vae.": "autoencoder."}
_ENDINGS = {
    ".lora_A.weight": "A",
    ".lora.down.weight": "A",
    ".lora_B.weight": "B",
    ".lora.up.weight": "B",
    f".{DORA_MAGNITUDE}": "magnitude",
    f".{DORA_MAGNITUDE}.weight": "magnitude",
    ".alpha": "alpha",
}
# Fields of PEFT's configuration that, if set, make a different network of the same tensors.
_UNCONVERTIBLE_FIELDS = (
    "alora_invocation_tokens",
    "arrow_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
    "velora_config",
)
# Values of PEFT's `init_lora_weights` that leave the base weights as they are; the others subtract from them what they
# give to the LoRA.
_STARTS_BESIDE_THE_WEIGHTS = (None, True, False, "gaussian", "eva", "orthogonal")


@dataclass
class _Layer:
    """One layer of a foreign LoRA: its name in the file, and its tensors under `A`, `B`, `magnitude` and `alpha`."""

    name_in_file: str
    tensors: dict[str, Tensor]

    @property
    def rank(self) -> int:
        return len(self.tensors["A"])

    def alpha(self, settings: dict[str, Any]) -> Any:
        """The file's own tensor if there is one, else the settings' value, else the rank, as in diffusers."""
        if "alpha" in self.tensors:
            return self.tensors["alpha"].item()
        for pattern, alpha in settings["alpha_pattern"].items():
            if self.name_in_file == pattern or self.name_in_file.endswith(f".{pattern}"):
                return alpha
        return settings["lora_alpha"] if settings["lora_alpha"] is not None else self.rank


def attach_foreign_lora(backbone: ReconstructionBackbone | PeftModel, source: str | Path, name: str) -> PeftModel:
    """Attach a LoRA or DoRA from PEFT or diffusers as `name`; `save_adaptor` can then store it as an adaptor.

    Args:
        source: a folder written by PEFT, or a safetensors file written by diffusers, with layers named as in the
            backbone (`denoiser.…`, `autoencoder.…`), as in a pipeline (`unet.…`, `vae.…`), or as in the denoiser.

    Raises:
        AdaptorFileError: names the file, and the tensor or setting that this backbone or this kind cannot take.
        AdaptorNameError: the name is taken or cannot be used.
        AttachedBackboneError: as `attach_adaptor`.
    """
    source = Path(source)
    path = source / PEFT_TENSORS_FILE if source.is_dir() else source
    base = backbone_of(backbone)
    layers = _read_layers(path, _layer_finder(base))
    config, tensors = _convert(layers, _read_settings(source), _hook_groups(base, layers, path), path)
    rehearsed = rehearse_attaching(backbone, config, name, origin=str(path))
    whole = {key: torch.zeros(tensor.shape) for key, tensor in adaptor_tensors(rehearsed, name).items()}
    try:
        check_adaptor_tensors(rehearsed, name, whole | tensors)
    except AdaptorTensorError as error:
        raise AdaptorFileError(f"{path}: {error}") from error
    # Layers that the LoRA leaves alone get random values in `lora_A`; with zeros they could not be trained later.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        adapted = attach_adaptor(backbone, config, name)
    assign_or_detach(adapted, name, adaptor_tensors(adapted, name) | tensors)
    adapted.requires_grad_(False)
    return adapted


def _layer_finder(base: ReconstructionBackbone) -> Callable[[str], str | None]:
    """A function from a layer's name in a file to its name in the backbone, or to None if there is no such layer."""
    known = {name.replace(".base_layer", "") for name, _ in base.named_modules()}

    def find(name: str) -> str | None:
        candidates = [name, f"denoiser.{name}"]
        candidates += [ours + name.removeprefix(part) for part, ours in PIPELINE_PARTS.items() if name.startswith(part)]
        return next((candidate for candidate in candidates if candidate in known), None)

    return find


def _read_layers(path: Path, find_layer: Callable[[str], str | None]) -> dict[str, _Layer]:
    """The LoRA's layers by their names in the backbone."""
    layers: dict[str, _Layer] = {}
    for key, tensor in adaptor_reader.read_tensors(path).items():
        ending = next((ending for ending in _ENDINGS if key.endswith(ending)), None)
        if ending is None:
            raise AdaptorFileError(f"{path}: tensor '{key}' is not part of a LoRA or DoRA; only these can be converted")
        name_in_file = key.removesuffix(ending).removeprefix(PEFT_PREFIX)
        name = find_layer(name_in_file)
        if name is None:
            raise AdaptorFileError(
                f"{path}: tensor '{key}' belongs to a layer that this backbone does not have; was it made for another?"
            )
        layers.setdefault(name, _Layer(name_in_file, {})).tensors[_ENDINGS[ending]] = tensor
    for name, layer in layers.items():
        sizes = {part: tensor.dim() for part, tensor in layer.tensors.items()}
        if sizes.get("A") not in (2, 4) or sizes.get("B") != sizes.get("A"):
            raise AdaptorFileError(f"{path}: holds no lora_A and lora_B of a linear layer or a convolution for {name}")
        if layer.rank < 1:
            raise AdaptorFileError(f"{path}: lora_A of {name} has rank 0; it must be at least 1")
        if "alpha" in layer.tensors and layer.tensors["alpha"].numel() != 1:
            raise AdaptorFileError(f"{path}: alpha of {name} must be one number")
    if not layers:
        raise AdaptorFileError(f"{path}: holds no LoRA")
    return layers


def _hook_groups(base: ReconstructionBackbone, layers: dict[str, _Layer], path: Path) -> list[str]:
    """The groups that hold all of these layers."""
    points = base.hook_points()
    found = set()
    for name in layers:
        point = hook_point_of(name, points)
        if point is None or name not in target_layers(base, [point.group]):
            raise AdaptorFileError(
                f"{path}: changes {name}, which is not a linear layer or plain convolution inside a hook point"
            )
        found.add(point.group)
    return [group for group in HOOK_GROUPS if group in found]


def _convert(
    layers: dict[str, _Layer], settings: dict[str, Any], groups: list[str], path: Path
) -> tuple[LoraAdaptorConfig | DoraAdaptorConfig, dict[str, Tensor]]:
    """The configuration, and the tensors of these layers under our names, with one rank and one scale."""
    has_magnitudes = {"magnitude" in layer.tensors for layer in layers.values()}
    if len(has_magnitudes) > 1 or settings["use_dora"] not in (None, *has_magnitudes):
        raise AdaptorFileError(f"{path}: some layers or the configuration are DoRA, others plain LoRA")
    alphas = {name: layer.alpha(settings) for name, layer in layers.items()}
    if not all(fits_type(alpha, float) for alpha in alphas.values()):
        raise AdaptorFileError(f"{path}: lora_alpha must be a number")
    rank, alpha = max(layer.rank for layer in layers.values()), next(iter(alphas.values()))
    # The scale is kept bit for bit where our settings can express it.
    alike = all(layer.rank == rank and alphas[name] == alpha for name, layer in layers.items())
    keeps_scale = alike and alpha == int(alpha) and alpha >= 1 and not settings["use_rslora"]
    config_class = DoraAdaptorConfig if has_magnitudes == {True} else LoraAdaptorConfig
    try:
        # Before any tensor is padded, because the configuration also limits the rank.
        config = config_class(hook_groups=groups, r=rank, lora_alpha=int(alpha) if keeps_scale else rank)
    except AdaptorConfigError as error:
        raise AdaptorFileError(f"{path}: {error}") from error
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        down, up = layer.tensors["A"], layer.tensors["B"]
        if not keeps_scale:
            # In half precision, as some files are, a product of small numbers would underflow to 0.
            up = up.float() * (alphas[name] / (math.sqrt(layer.rank) if settings["use_rslora"] else layer.rank))
        # `pad` counts from the last dimension; ranks are the first of `lora_A` and the second of `lora_B`.
        missing = (0, rank - layer.rank)
        tensors[f"{name}.lora_A.weight"] = F.pad(down, (0, 0) * (down.dim() - 1) + missing)
        tensors[f"{name}.lora_B.weight"] = F.pad(up, (0, 0) * (up.dim() - 2) + missing)
        if "magnitude" in layer.tensors:
            tensors[f"{name}.{DORA_MAGNITUDE}.weight"] = layer.tensors["magnitude"]
    return config, tensors


def _read_settings(source: Path) -> dict[str, Any]:
    """Read, from beside or inside the file, the settings that give the LoRA's tensors their meaning.

    Raises:
        AdaptorFileError: the configuration cannot be read, or would make a different network of the same tensors.
    """
    if source.is_dir():
        origin, text = str(source / PEFT_CONFIG_FILE), adaptor_reader.read_text(source / PEFT_CONFIG_FILE)
    else:
        origin = f"{source} ({DIFFUSERS_SETTINGS_KEY})"
        text = adaptor_reader.read_header(source).get(DIFFUSERS_SETTINGS_KEY, "{}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AdaptorFileError(f"{origin}: cannot be read as JSON: {error}") from error
    if not isinstance(values, dict):
        raise AdaptorFileError(f"{origin}: must hold named settings")
    # A pipeline's file holds the settings once for each of its parts.
    parts = {key.split(".")[0] for key in values if "." in key}
    if len(parts) > 1:
        raise AdaptorFileError(f"{origin}: covers several models ({', '.join(sorted(parts))}); convert one at a time")
    values = {key.split(".", 1)[-1]: value for key, value in values.items()}
    if values.get("peft_type", "LORA") != "LORA":
        raise AdaptorFileError(f"{origin}: has the type {values['peft_type']!r}; only LORA can be converted")
    unconvertible = [name for name in _UNCONVERTIBLE_FIELDS if values.get(name)]
    if values.get("bias", "none") != "none":
        unconvertible.append("bias")
    if unconvertible:
        raise AdaptorFileError(f"{origin}: sets {', '.join(unconvertible)}, which no kind in this package supports")
    if (start := values.get("init_lora_weights")) not in _STARTS_BESIDE_THE_WEIGHTS:
        raise AdaptorFileError(
            f"{origin}: init_lora_weights is {start!r}, which changed the weights of the backbone too; first save it "
            "with PEFT's path_initial_model_for_weight_conversion, which turns it into a plain LoRA"
        )
    patterns = values.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise AdaptorFileError(f"{origin}: alpha_pattern must map names of layers to numbers")
    # PEFT takes them as regular expressions, and none that comes from a file should be run.
    expressions = [pattern for pattern in patterns if not re.fullmatch(r"[\w.]+", pattern)]
    if expressions:
        raise AdaptorFileError(
            f"{origin}: alpha_pattern has {expressions[0]!r}, which is not a layer's name or the end of one; write one "
            "entry for each layer that it matches"
        )
    return {
        "alpha_pattern": patterns,
        "lora_alpha": values.get("lora_alpha"),
        "use_rslora": bool(values.get("use_rslora")),
        "use_dora": values.get("use_dora"),
    }
