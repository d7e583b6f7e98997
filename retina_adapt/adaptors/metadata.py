"""What an adaptor knows of itself."""

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from retina_adapt.errors import RetinaAdaptError


class MetadataError(RetinaAdaptError):
    """Metadata with an unknown or missing field, or a value of the wrong type."""


@dataclass(frozen=True)
class AdaptorMetadata:
    """Where an adaptor comes from and what it is for.

    Attributes:
        data_sets: photographs that it was trained on, with their licences' credits where they ask for one.
        degradation: the preset it undoes, or a description for real pairs.
        severity: lowest and highest simulated severity in [0, 1]; None for real pairs or the preset's own range.
        pairs_seen: number of different training pairs or clear photographs.
        training_steps: optimiser steps by stage, e.g. {"autoencoder": 200, "denoiser": 100}.
        seed: of the training.
        recipe: the recipe that trained it and its version of the package.
        metrics: means over the validation photographs, by name.
        protocol: how the metrics were measured.
        license: SPDX identifier of the adaptor's own licence.
        intended_use: what it is good for, and what not.
        backbone_name: name of the backbone it belongs to, for readers; the fingerprint is what counts.
    """

    data_sets: list[str]
    degradation: str
    severity: list[float] | None
    pairs_seen: int
    training_steps: dict[str, int]
    seed: int
    recipe: str
    metrics: dict[str, float]
    protocol: str
    license: str
    intended_use: str
    backbone_name: str = field(default="unnamed")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, origin: str) -> "AdaptorMetadata":
        """The inverse of `to_dict`, strict.

        Raises:
            MetadataError: names `origin` and the field.
        """
        fields = {item.name: item for item in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        missing = sorted(
            name for name, item in fields.items() if item.default is dataclasses.MISSING and name not in values
        )
        if unknown or missing:
            raise MetadataError(
                f"{origin}: metadata fields unknown: {', '.join(unknown) or 'none'}; missing: "
                f"{', '.join(missing) or 'none'}. Was it written by another version of retina_adapt?"
            )
        for name, value in values.items():
            if not _fits(value, fields[name].type):
                raise MetadataError(f"{origin}: metadata field '{name}' has an unexpected value: {value!r}")
        severity = values["severity"]
        if severity is not None and len(severity) != 2:
            raise MetadataError(
                f"{origin}: metadata field 'severity' must hold the lowest and the highest: {severity!r}"
            )
        return cls(**values)


def _fits(value: Any, expected: Any) -> bool:
    """Whether a value from JSON has the type of a field."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, argument) for argument in arguments)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, arguments[0]) and _fits(item, arguments[1]) for key, item in value.items()
        )
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, expected)
