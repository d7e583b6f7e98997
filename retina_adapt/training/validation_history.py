"""The validations of a training so far: how good each was, and whether to go on.

Both depend only on the scores, which are in the checkpoints, so a resumed run decides like an uninterrupted one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.suggestions import did_you_mean
from retina_adapt.training.settings import TrainingSettingsError

VALIDATIONS_FILE = "validations.json"


@dataclass(frozen=True)
class ScoredStep:
    """A validation and its step.

    Attributes:
        step: number of optimiser steps before it.
        scores: its scores by name.
    """

    step: int
    scores: dict[str, float]


def merit(scores: Mapping[str, float], best_by: str) -> float | None:
    """How good scores are, higher being better; None if there are none. NaN is worse than any number.

    Args:
        best_by: name of the score that counts, "-name" if lower is better; "" is the first score.
    """
    if not scores:
        return None
    score = scores[best_by.removeprefix("-") or next(iter(scores))]
    if math.isnan(score):
        return -math.inf
    return -score if best_by.startswith("-") else score


def require_score(scores: Mapping[str, float], best_by: str) -> None:
    """Refuse a `best_by` that is not a score of the validation.

    Raises:
        TrainingSettingsError: there is no such score; suggests the nearest one.
    """
    wanted = best_by.removeprefix("-")
    if wanted and wanted not in scores:
        raise TrainingSettingsError(
            f"best_by is '{best_by}', but the validation has the scores {', '.join(scores) or 'none'}"
            f"{did_you_mean(wanted, scores)}"
        )


def validations_without_gain(history: Sequence[ScoredStep], best_by: str, least_improvement: float) -> int:
    """How many of the latest validations in a row were no better than the best before them.

    Args:
        best_by: see `merit`.
        least_improvement: by how much a score must beat the last one that counted as a gain.
    """
    best, waited = -math.inf, 0
    for validated in history:
        found = merit(validated.scores, best_by)
        if found is not None and found > best + least_improvement:
            best, waited = found, 0
        else:
            waited += 1
    return waited


def store_history(history: Sequence[ScoredStep], checkpoint: Path) -> None:
    """Write the validations up to a checkpoint's step into its folder, atomically."""
    with write_file_atomically(checkpoint / VALIDATIONS_FILE) as temporary:
        temporary.write_text(json.dumps([asdict(validated) for validated in history]) + "\n", encoding="utf-8")


def stored_history(checkpoint: Path) -> list[ScoredStep]:
    """The validations up to a checkpoint's step; empty if nothing was validated yet.

    Raises:
        OSError, ValueError, TypeError: the file cannot be read.
    """
    file = checkpoint / VALIDATIONS_FILE
    if not file.is_file():
        return []
    return [ScoredStep(**entry) for entry in json.loads(file.read_text(encoding="utf-8"))]
