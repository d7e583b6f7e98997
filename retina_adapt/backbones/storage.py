"""A backbone on disk: a folder in diffusers' layout, read strictly and without unpickling.

backbone/
    model_index.json                      class names of the parts, the backbone's settings and latent statistics
    autoencoder/config.json               + diffusion_pytorch_model.safetensors
    denoiser/config.json                  + diffusion_pytorch_model.safetensors  (absent before its training)
    scheduler/scheduler_config.json       (absent in a backbone without diffusion)
"""

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any, TypeVar

import diffusers
import torch
from torch import Tensor

from retina_adapt.atomic_files import (
    require_own_folder,
    restore_interrupted_replacement,
    write_folder_atomically,
)
from retina_adapt.backbones.parts import LatentAutoencoder, LatentDenoiser, part_classes, require_registered
from retina_adapt.backbones.reconstruction_backbone import BackboneSettings, ReconstructionBackbone
from retina_adapt.backbones.registry import BackboneEntryPointError, register_installed_backbones
from retina_adapt.backbones.schedulers import SCHEDULER_CLASSES
from retina_adapt.backbones.shape import NoiseScheduleError
from retina_adapt.errors import RetinaAdaptError, ran_out_of_memory
from retina_adapt.model_files import ModelFileReader
from retina_adapt.plain_values import record_from_plain

INDEX_FILE = "model_index.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
LATENT_STATISTICS = ("latent_mean", "latent_deviation")
# Far above any practical value, so that a file cannot ask for any amount of memory.
_LARGEST_SETTINGS = {"image_size": 4096, "image_channels": 64, "space_to_depth": 64}
_CLASS_NAME = ReconstructionBackbone.__name__

Part = TypeVar("Part", LatentAutoencoder, LatentDenoiser)


class BackboneFileError(RetinaAdaptError):
    """A backbone that is missing, incomplete, damaged or does not fit the code, or that cannot be stored."""


_reader = ModelFileReader("backbone", BackboneFileError)


def save_backbone(backbone: ReconstructionBackbone, folder: str | Path) -> None:
    """Write the backbone to `folder` atomically, replacing a backbone already there.

    Raises:
        BackboneFileError: `folder` holds something else, which would be lost; or the backbone is not in single
            precision, in which its fingerprint is defined.
        AdaptedBackboneError: adaptors are attached or merged.
        UnregisteredPartError: a part could not be read again.
    """
    backbone.require_without_adaptors(
        "save them with `save_adaptor` and remove them with `detach_adaptor`, or save a backbone that has none"
    )
    require_registered(backbone.autoencoder, backbone.denoiser)
    other = {str(tensor.dtype) for tensor in backbone.parameters() if tensor.dtype != torch.float32}
    if other:
        raise BackboneFileError(
            f"{folder}: the backbone has weights of {', '.join(sorted(other))}; save it in single precision, "
            "`backbone.float()`"
        )
    # Every diffusers pipeline has an index of this name, so its content is checked too.
    require_own_folder(folder, INDEX_FILE, BackboneFileError, what="backbone", says=f'"{_CLASS_NAME}"')
    parts: dict[str, Any] = {
        "autoencoder": backbone.autoencoder,
        "denoiser": backbone.denoiser,
        "scheduler": backbone.scheduler,
    }
    index = {"_class_name": _CLASS_NAME, "_diffusers_version": diffusers.__version__}
    index |= {
        name: [type(part).__module__.split(".")[0], type(part).__name__]
        for name, part in parts.items()
        if part is not None
    }
    index["settings"] = dataclasses.asdict(backbone.settings)
    # The decimal digits of a float32 restore its bits, so the fingerprint, which covers these values, is kept.
    index |= {key: getattr(backbone, key).tolist() for key in LATENT_STATISTICS}
    with write_folder_atomically(folder) as temporary:
        (temporary / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        for name, part in parts.items():
            if part is not None:
                part.save_pretrained(temporary / name)


def load_backbone(folder: str | Path) -> ReconstructionBackbone:
    """Read a backbone from `folder`, frozen and in evaluation mode.

    Raises:
        BackboneFileError: names the file that is missing, or the tensor or setting that does not fit.
        BackboneEntryPointError: a part's class is unknown, and an installed package that may provide it is defective.
    """
    folder = Path(folder)
    restore_interrupted_replacement(folder)
    index = _reader.read_json_object(folder / INDEX_FILE)
    settings = record_from_plain(
        index.get("settings"), BackboneSettings, origin=f"{folder / INDEX_FILE}: settings", error=BackboneFileError
    )
    for name, most in _LARGEST_SETTINGS.items():
        if not 1 <= getattr(settings, name) <= most:
            raise BackboneFileError(
                f"{folder / INDEX_FILE}: settings.{name} is {getattr(settings, name)}; it must be from 1 to {most}"
            )
    autoencoder = _load_part(folder, index, "autoencoder", LatentAutoencoder)
    denoiser = scheduler = None
    if "denoiser" in index:
        denoiser = _load_part(folder, index, "denoiser", LatentDenoiser)
    if "scheduler" in index:
        scheduler_class = _part_class(folder, index, "scheduler", SCHEDULER_CLASSES)
        scheduler = _build_part(scheduler_class, folder / "scheduler" / "scheduler_config.json")
    try:
        backbone = ReconstructionBackbone(autoencoder, denoiser, scheduler, settings)
    except NoiseScheduleError as error:
        raise BackboneFileError(f"{folder / INDEX_FILE}: settings: {error}") from error
    for key in LATENT_STATISTICS:
        getattr(backbone, key).copy_(_read_statistics(folder / INDEX_FILE, index, key, backbone.latent_channels))
    return backbone.eval().requires_grad_(False)


def _load_part(folder: Path, index: dict[str, Any], name: str, kind: type[Part]) -> Part:
    if _class_name(index, name) not in part_classes(kind):
        # An installed package may provide it.
        defects = register_installed_backbones()
        if defects and _class_name(index, name) not in part_classes(kind):
            raise BackboneEntryPointError(
                f"{folder / INDEX_FILE}: the {name} is a '{_class_name(index, name)}', which is not known, perhaps "
                f"because of a defective package: {'; '.join(str(defect) for defect in defects)}"
            ) from defects[0]
    part_class = _part_class(folder, index, name, part_classes(kind))
    part = _build_part(part_class, folder / name / "config.json")
    weights_file = folder / name / WEIGHTS_FILE
    weights = _reader.read_tensors(weights_file, copied=False)
    try:
        part.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise BackboneFileError(
            f"{weights_file}: does not fit {part_class.__name__} as its config.json describes it: {error}"
        ) from error
    if broken := [key for key, tensor in weights.items() if not tensor.isfinite().all()]:
        raise BackboneFileError(f"{weights_file}: tensor '{broken[0]}' holds NaN or infinite values")
    return part


def _build_part(part_class: type[Any], config_file: Path) -> Any:
    config = _reader.read_json_object(config_file)
    known = inspect.signature(part_class).parameters
    further = {key: config.pop(key) for key in list(config) if not key.startswith("_") and key not in known}
    try:
        part = part_class.from_config(config)
        # Some classes record values derived from their options beside them; these must come out the same again.
        noted = json.loads(part.to_json_string()) if further else {}
    except Exception as error:  # diffusers checks few values, so its constructors may raise anything
        if ran_out_of_memory(error):
            raise
        raise BackboneFileError(f"{config_file}: does not describe a valid {part_class.__name__}: {error}") from error
    # diffusers would only warn about unknown keys, and build a different network from the one the file describes.
    if unknown := [key for key, value in further.items() if key not in noted or noted[key] != value]:
        raise BackboneFileError(
            f"{config_file}: {part_class.__name__} of diffusers {diffusers.__version__} has no option "
            f"{', '.join(sorted(unknown))}; remove it, or use the diffusers release that wrote this folder"
        )
    return part


def _read_statistics(path: Path, index: dict[str, Any], key: str, channels: int) -> Tensor:
    try:
        statistics = torch.tensor(index.get(key), dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BackboneFileError(f"{path}: '{key}' is {index.get(key)!r}; it must hold numbers") from error
    if statistics.shape != (channels,) or not statistics.isfinite().all():
        raise BackboneFileError(f"{path}: '{key}' must hold {channels} finite numbers, one for each latent channel")
    if key == "latent_deviation" and not (statistics > 0).all():
        raise BackboneFileError(f"{path}: 'latent_deviation' must hold positive numbers")
    return statistics


def _part_class(folder: Path, index: dict[str, Any], name: str, classes: dict[str, type[Any]]) -> type[Any]:
    class_name = _class_name(index, name)
    if class_name not in classes:
        raise BackboneFileError(
            f"{folder / INDEX_FILE}: the {name} is a '{class_name}'; known are {', '.join(sorted(classes))}. "
            "Install the package that provides this class, if it is not one of retina_adapt's"
        )
    return classes[class_name]


def _class_name(index: dict[str, Any], name: str) -> str | None:
    library_and_class = index.get(name)
    class_name = library_and_class[-1] if isinstance(library_and_class, list) and library_and_class else None
    return class_name if isinstance(class_name, str) else None
