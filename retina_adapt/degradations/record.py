"""Records of what was drawn: a few numbers in JSON, which degrade a photograph again, bit for bit."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from retina_adapt.degradations.errors import DegradationRecordError
from retina_adapt.plain_values import record_from_plain

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
    def from_dict(cls, record: Any) -> Self:
        """Restore what `to_dict` wrote.

        Raises:
            DegradationRecordError: a field is missing, unknown, or of another type.
        """
        return record_from_plain(record, cls, origin="the stored degradation", error=DegradationRecordError)
