"""Divide a data set by patient, so that no eye is used both for training and for testing."""

import math
from collections.abc import Mapping
from typing import Any

import datasets
import numpy as np

from retina_adapt.data.rows import require_columns
from retina_adapt.errors import RetinaAdaptError


class SplitError(RetinaAdaptError):
    """A data set cannot be divided as asked."""


class PatientLeakError(RetinaAdaptError):
    """Photographs of one patient are in more than one split; the message lists the patients."""


def split_by_patient(
    dataset: datasets.Dataset, fractions: Mapping[str, float], *, seed: int, patient_column: str = "patient"
) -> datasets.DatasetDict:
    """Divide photographs into splits, each patient's all in one.

    Patients come in an order drawn from `seed`, and each goes to the split that is furthest behind its share of the
    photographs, so the shares are met to within about one patient's photographs.

    Args:
        dataset: one row per photograph.
        fractions: share of the photographs by split name; each above 0, together 1, e.g. {"train": 0.8, "test": 0.2}.
        seed: seed of the order of patients.
        patient_column: column of the patient. Synthetic variants of a photograph carry the same patient.

    Raises:
        MissingColumnError: there is no such column.
        SplitError: fractions are not above 0 or do not add up to 1, a photograph has no patient, or there are fewer
            patients than splits.
    """
    require_columns(dataset, patient_column)
    if any(fraction <= 0 for fraction in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-6:
        raise SplitError(f"fractions must each be above 0 and together 1, got {dict(fractions)}")
    rows_of: dict[str, list[int]] = {}
    for row, patient in enumerate(dataset[patient_column]):
        if _is_unknown(patient):
            raise SplitError(f"row {row} has no value in column {patient_column!r}; fill it before splitting")
        rows_of.setdefault(patient, []).append(row)
    if len(rows_of) < len(fractions):
        raise SplitError(f"{len(rows_of)} patients cannot fill {len(fractions)} splits; ask for fewer")

    patients = list(rows_of)
    assigned: dict[str, list[int]] = {split: [] for split in fractions}
    order = np.random.default_rng(seed).permutation(len(patients))
    for taken, position in enumerate(order):
        # Towards the end, empty splits go first, so that even a small share gets a patient.
        empty = [split for split, rows in assigned.items() if not rows]
        candidates = empty if len(empty) == len(order) - taken else list(assigned)
        behind = max(candidates, key=lambda split: fractions[split] * len(dataset) - len(assigned[split]))
        assigned[behind] += rows_of[patients[position]]
    return datasets.DatasetDict({split: dataset.select(sorted(rows)) for split, rows in assigned.items()})


def check_no_patient_leak(splits: Mapping[str, datasets.Dataset], *, patient_column: str = "patient") -> None:
    """Check that no patient appears in two splits.

    Raises:
        MissingColumnError: a split has no such column.
        PatientLeakError: a patient does; photographs without one are passed over.
    """
    splits_of: dict[str, list[str]] = {}
    for name, split in splits.items():
        require_columns(split, patient_column)
        for patient in sorted({patient for patient in split[patient_column] if not _is_unknown(patient)}):
            splits_of.setdefault(patient, []).append(name)
    leaks = [f"{patient} is in {', '.join(names)}" for patient, names in splits_of.items() if len(names) > 1]
    if leaks:
        raise PatientLeakError(
            f"{len(leaks)} patients are in more than one split; divide the data with split_by_patient:\n  "
            + "\n  ".join(leaks)
        )


def _is_unknown(patient: Any) -> bool:
    """Whether a cell is empty, as tables of texts and of numbers have it."""
    return patient in (None, "") or (isinstance(patient, float) and math.isnan(patient))
