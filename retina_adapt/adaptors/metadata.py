"""An adaptor's metadata: where it comes from and what it is for."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from retina_adapt.adaptors.names import AdaptorNameError, require_usable_name
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.plain_values import record_from_plain

DEGRADED_SUFFIX = "_degraded"


class MetadataError(RetinaAdaptError):
    """Metadata with an unknown or missing field, or a value of the wrong type."""


@dataclass(frozen=True)
class AdaptorMetadata:
    """Where an adaptor comes from and what it is for.

    Attributes:
        data_sets: the photographs it was trained on, with the credits that their licences require.
        degradation: the preset it undoes, or a description of real pairs.
        severity: lowest and highest simulated severity in [0, 1]; None for real pairs or the preset's own range.
        pairs_seen: number of distinct training pairs or clear photographs; None if unknown, as for a stream or an
            imported adaptor.
        training_steps: optimiser steps by stage, e.g. {"autoencoder": 200, "denoiser": 100}.
        seed: seed of the training; None if unknown.
        recipe: the recipe that trained it and the version of the package.
        metrics: means over the validation photographs, by name. The same measure before enhancement has the same name
            with the suffix `_degraded`.
        protocol: how the metrics were measured.
        license: SPDX identifier of the adaptor's own licence.
        intended_use: what it is good for, and what not.
        backbone_name: name of the backbone it belongs to, for readers; the fingerprint decides.
        name: the adaptor's name, of letters, digits, '_' and '-'. None, possible until it is saved, stands for the name
            it is attached under.
    """

    data_sets: list[str]
    degradation: str
    severity: list[float] | None
    pairs_seen: int | None
    training_steps: dict[str, int]
    seed: int | None
    recipe: str
    metrics: dict[str, float]
    protocol: str
    license: str
    intended_use: str
    backbone_name: str
    name: str | None = None

    def metric_pairs(self) -> dict[str, tuple[float | None, float]]:
        """Each metric's values before (None if not measured) and after enhancement, by the metric's name."""
        enhanced = {name: value for name, value in self.metrics.items() if not self._is_of_degraded(name)}
        return {name: (self.metrics.get(f"{name}{DEGRADED_SUFFIX}"), value) for name, value in enhanced.items()}

    def _is_of_degraded(self, name: str) -> bool:
        return name.endswith(DEGRADED_SUFFIX) and name.removesuffix(DEGRADED_SUFFIX) in self.metrics

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, origin: str) -> "AdaptorMetadata":
        """The strict inverse of `to_dict` for a saved adaptor, which must have a name.

        Raises:
            MetadataError: names `origin` and the field.
        """
        metadata = record_from_plain(values, cls, origin=f"{origin}: metadata", error=MetadataError)
        if metadata.severity is not None and len(metadata.severity) != 2:
            raise MetadataError(f"{origin}: metadata: 'severity' must hold two numbers, the lowest and the highest")
        if metadata.name is None:
            raise MetadataError(f"{origin}: metadata: 'name' is missing")
        try:
            require_usable_name(metadata.name)
        except AdaptorNameError as error:
            raise MetadataError(f"{origin}: metadata: 'name': {error}") from error
        return metadata
