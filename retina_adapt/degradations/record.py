"""Records of what was drawn: a few numbers in JSON, which degrade a photograph again, bit for bit."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from retina_adapt.degradations.errors import DegradationRecordError

Parameters = dict[str, Any]
"""JSON values only. Lengths are fractions of the frame's shorter side, never pixels."""


@dataclass(frozen=True)
class DrawnStep:
    """One degradation with its drawn parameters (JSON values)."""

    name: str
    parameters: Parameters


@dataclass(frozen=True)
class DrawnDegradation:
    """What a preset drew for a seed and a severity: all that is needed to replay it bit for bit."""

    preset: str
    severity: float
    seed: int
    steps: tuple[DrawnStep, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values; `from_dict` restores an equal object."""
        record = dataclasses.asdict(self)
        record["steps"] = list(record["steps"])
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Restore what `to_dict` wrote.

        Raises:
            DegradationRecordError: a field is missing or unknown.
        """
        _require_fields(record, cls)
        for step in record["steps"]:
            _require_fields(step, DrawnStep)
        return cls(**{**record, "steps": tuple(DrawnStep(**step) for step in record["steps"])})


def _require_fields(record: Mapping[str, Any], record_type: type) -> None:
    expected = {field.name for field in dataclasses.fields(record_type)}
    if missing := sorted(expected - set(record)):
        raise DegradationRecordError(f"the stored degradation lacks {missing}; write it with to_dict()")
    if unknown := sorted(set(record) - expected):
        raise DegradationRecordError(
            f"the stored degradation has unknown fields {unknown}; expected {sorted(expected)}"
        )
