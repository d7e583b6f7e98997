"""`retina-adapt adaptors`: list, describe, verify, compare and import adaptors."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from retina_adapt.adaptors.comparison import AdaptorComparison
from retina_adapt.adaptors.description import AdaptorDescription
from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.files import describe_adaptor, read_adaptor, read_fitting_adaptor, save_adaptor
from retina_adapt.adaptors.foreign_lora import attach_foreign_lora
from retina_adapt.adaptors.hub import ORIGIN_FILE
from retina_adapt.adaptors.layout import CONFIG_FILE, SINGLE_FILE_SUFFIX, adaptor_reader, tensors_path
from retina_adapt.adaptors.metadata import AdaptorMetadata, MetadataError
from retina_adapt.backbones import load_backbone
from retina_adapt.embedded import adaptor_folder, backbone_folder, embedded_names


@dataclass(frozen=True)
class ListedAdaptor:
    """One entry in a list of adaptors.

    Attributes:
        label: what `--adaptor` takes: an embedded name or a path.
        megabytes: size of its tensor file.
        description: None if it cannot be read.
        problem: why it cannot be read; "" if it can.
    """

    label: str
    megabytes: float
    description: AdaptorDescription | None
    problem: str = ""


def find_adaptors(folder: Path | None) -> list[ListedAdaptor]:
    """The embedded adaptors, and those that lie directly in `folder`, as folders or single files.

    Raises:
        AdaptorFileError: `folder` is not a folder.
    """
    found = [(name, adaptor_folder(name)) for name in embedded_names("adaptors")]
    if folder is not None:
        if not folder.is_dir():
            raise AdaptorFileError(f"{folder}: no such folder; give one that holds adaptors")
        found += [(str(path), path) for path in sorted(folder.iterdir()) if _looks_like_an_adaptor(path)]
    return [_listed(label, path) for label, path in found]


def adaptor_table(adaptors: list[ListedAdaptor]) -> Table:
    """A row per adaptor: what it undoes, its kind and size, and the PSNR in dB before and after enhancement."""
    table = Table("adaptor", "undoes", "kind", "MB", "PSNR, dB", box=None, pad_edge=False)
    for listed in adaptors:
        if listed.description is None:
            table.add_row(listed.label, f"cannot be read: {listed.problem}", "", f"{listed.megabytes:.2f}", "")
        else:
            metadata = listed.description.metadata
            kind = listed.description.kind
            table.add_row(listed.label, metadata.degradation, kind, f"{listed.megabytes:.2f}", _psnr(metadata))
    return table


def listed_values(adaptors: list[ListedAdaptor]) -> list[dict[str, Any]]:
    """The adaptors as plain values, each with its whole configuration."""
    return [
        {
            "adaptor": listed.label,
            "megabytes": listed.megabytes,
            "problem": listed.problem or None,
            "configuration": listed.description and listed.description.to_dict(),
        }
        for listed in adaptors
    ]


def adaptor_information(adaptor: str) -> dict[str, Any]:
    """An adaptor's configuration and, if it was fetched, its origin, as plain values.

    Raises:
        UnknownModelError, AdaptorFileError: there is no such adaptor, or its configuration is damaged.
    """
    path = adaptor_folder(adaptor)
    information = {"path": str(path), **describe_adaptor(path).to_dict()}
    if (path / ORIGIN_FILE).is_file():
        try:
            information["origin"] = json.loads(adaptor_reader.read_text(path / ORIGIN_FILE))
        except (ValueError, RecursionError) as error:
            raise AdaptorFileError(f"{path / ORIGIN_FILE}: cannot be read as JSON: {error}") from error
    return information


def information_lines(values: dict[str, Any], indent: str = "") -> Iterator[str]:
    """The information as text, one line per entry."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from information_lines(value, f"{indent}  ")
        else:
            yield f"{indent}{key}: {_readable(value)}"


def verify_adaptor(adaptor: str, backbone: str | None) -> AdaptorDescription:
    """Check every bit of an adaptor and, if a backbone is given, that the adaptor fits it.

    Raises:
        UnknownModelError, AdaptorFileError, BackboneFileError: names the file and what is wrong.
    """
    path = adaptor_folder(adaptor)
    if backbone is None:
        return read_adaptor(path)[0]
    return read_fitting_adaptor(load_backbone(backbone_folder(backbone)), path, "verified")[0]


def comparison_values(comparison: AdaptorComparison) -> dict[str, Any]:
    """The comparison as plain values."""
    return {**dataclasses.asdict(comparison), "hot_swappable": comparison.hot_swappable}


def import_adaptor(source: Path, folder: Path, *, backbone: str, metadata_file: Path) -> AdaptorDescription:
    """Convert a LoRA or DoRA from PEFT or diffusers to an adaptor folder.

    Args:
        source: a folder written by PEFT, or a safetensors file of diffusers.
        folder: a new folder.
        backbone: an embedded backbone's name, or its folder.
        metadata_file: YAML with the fields of `AdaptorMetadata`, which such a LoRA does not state. By default, `name`
            is the folder's, `backbone_name` the backbone's, and `recipe` says that the LoRA was imported; `seed` and
            `pairs_seen` may be null.

    Raises:
        UnknownModelError, BackboneFileError: there is no such backbone.
        MetadataError: names the file and the field.
        AdaptorFileError: `folder` exists already, or the LoRA is damaged or does not fit the backbone.
    """
    if folder.exists():
        raise AdaptorFileError(f"{folder}: exists already; give a new folder")
    path = backbone_folder(backbone)
    metadata = _read_metadata(metadata_file, name=folder.name, backbone_name=path.name)
    adapted = attach_foreign_lora(load_backbone(path), source, "imported")
    return save_adaptor(adapted, "imported", folder, metadata)


def _read_metadata(path: Path, *, name: str, backbone_name: str) -> AdaptorMetadata:
    if not path.is_file():
        raise MetadataError(f"{path}: no such file; check --metadata; docs/publishing.md has an example")
    try:
        values = yaml.safe_load(adaptor_reader.read_text(path))
    except yaml.YAMLError as error:
        raise MetadataError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise MetadataError(f"{path}: must hold 'field: value' lines with the adaptor's metadata")
    defaults = {"name": name, "backbone_name": backbone_name, "recipe": "imported from PEFT or diffusers"}
    return AdaptorMetadata.from_dict({**defaults, **values}, origin=str(path))


def comparison_lines(comparison: AdaptorComparison) -> list[str]:
    """The differences as text, the most distant tensors first."""
    if comparison.identical:
        return ["identical: the same sha256"]
    lines = [
        f"{name}: {_readable(before)} -> {_readable(after)}"
        for name, (before, after) in comparison.configuration.items()
    ]
    lines += [f"tensor {name}: only in one, or in different shapes" for name in comparison.unmatched]
    by_distance = sorted(comparison.distances.items(), key=lambda item: -item[1])
    lines += [f"tensor {name}: relative distance {distance:.3g}" for name, distance in by_distance if distance > 0]
    lines.append(f"equal tensors: {sum(distance == 0 for distance in comparison.distances.values())}")
    lines.append(f"hot-swappable: {'yes' if comparison.hot_swappable else 'no'}")
    return lines


def _readable(value: Any) -> str:
    if value is None:
        return "not stated"
    if isinstance(value, list):
        return "; ".join(_readable(item) for item in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _looks_like_an_adaptor(path: Path) -> bool:
    return (path / CONFIG_FILE).is_file() or (path.is_file() and path.suffix == SINGLE_FILE_SUFFIX)


def _listed(label: str, path: Path) -> ListedAdaptor:
    tensors = tensors_path(path)
    megabytes = tensors.stat().st_size / 1e6 if tensors.is_file() else 0.0
    try:
        return ListedAdaptor(label, megabytes, describe_adaptor(path))
    except AdaptorFileError as error:
        return ListedAdaptor(label, megabytes, None, str(error))


def _psnr(metadata: AdaptorMetadata) -> str:
    for name, (before, after) in metadata.metric_pairs().items():
        if name.split()[-1] == "psnr":
            return f"{after:.2f}" if before is None else f"{before:.2f} -> {after:.2f}"
    return ""
