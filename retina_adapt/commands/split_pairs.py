"""`retina-adapt split-pairs`: split pairs by patient, as the configurations for real pairs expect them."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import datasets

from retina_adapt.atomic_files import write_folder_atomically
from retina_adapt.commands.photograph_list import require_new_folder
from retina_adapt.data import SplitError, pair_files, require_two_folders, split_by_patient

# Where each split lies below the output, which recipes/configs/adapt_pairs_few.yaml calls `pairs`.
SPLIT_FOLDERS = {"train": ".", "validation": "validation", "test": "test"}
_NAMED_IN_ERROR = 5


@dataclass(frozen=True)
class Split:
    """One split of the pairs.

    Attributes:
        patients: its patients, in alphabetical order.
        pairs: its number of pairs.
    """

    patients: list[str]
    pairs: int


def split_pairs(
    low: Path, high: Path, output: Path, *, patient: str, validation: float, test: float, seed: int
) -> dict[str, Split]:
    """Copy the pairs of two folders to splits for training, validation and test that share no patient.

    Args:
        low, high: folders that pair up; see `pair_files`.
        output: a new folder: `low` and `high` to train on, `validation/low` and so on.
        patient: regular expression that finds the patient in a pair's name, the file name without suffix, with the
            subfolder before it if both folders have some; the patient is its first group, if it has one.
        validation, test: shares of the pairs, together below 1; with `test` 0 there is no such split.
        seed: seed of the random choice of patients.

    Raises:
        ImageReadError, PairingError: see `pair_files`.
        OutputFolderError: see `require_new_folder`.
        SplitError: the pattern is not valid or finds no patient in a name, the shares or the number of patients do not
            allow the splits, or the pairs cannot be copied.
    """
    require_two_folders(low, high)
    if not (validation > 0 and test >= 0 and validation + test < 1 - 1e-6):
        raise SplitError(
            f"--validation {validation:g} and --test {test:g}: validation needs a share above 0, and both together "
            "must be below 1, to leave pairs to train on"
        )
    require_new_folder(output, (low, high))
    pairs = pair_files(low, high)
    patients = patients_of(list(pairs), patient)
    shares = {"train": 1 - validation - test, "validation": validation} | ({"test": test} if test else {})
    found = sorted(set(patients))
    if len(found) < len(shares):
        raise SplitError(
            f"--patient {patient}: finds too few patients ({', '.join(found)}) for {len(shares)} splits; give "
            "another pattern, or --test 0"
        )
    table = datasets.Dataset.from_dict({"name": list(pairs), "patient": patients})
    splits = split_by_patient(table, shares, seed=seed)
    try:
        with write_folder_atomically(output) as folder:
            for split, rows in splits.items():
                for name in rows["name"]:
                    for side, file in zip(("low", "high"), pairs[name], strict=True):
                        # Not `with_suffix`, which would take the name's own last dot for the beginning of a suffix.
                        copy = folder / SPLIT_FOLDERS[split] / side / f"{name}{file.suffix}"
                        copy.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(file, copy)
    except OSError as error:
        raise SplitError(
            f"{output}: the pairs cannot be copied there ({error.strerror or error}); give another folder, or make room"
        ) from error
    return {split: Split(sorted(set(rows["patient"])), len(rows)) for split, rows in splits.items()}


def patients_of(names: list[str], pattern: str) -> list[str]:
    """The patient of each name.

    Raises:
        SplitError: see `split_pairs`.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise SplitError(
            f"--patient {pattern}: not a regular expression ({error}); '^[^_]+' is all up to the first _"
        ) from error
    found = [expression.search(name) for name in names]
    patients = [(match[1] if expression.groups else match[0]) if match else None for match in found]
    without = [name for name, patient in zip(names, patients, strict=True) if not patient]
    if without:
        others = f" and {len(without) - _NAMED_IN_ERROR} more" if len(without) > _NAMED_IN_ERROR else ""
        raise SplitError(
            f"--patient {pattern}: finds no patient in {', '.join(without[:_NAMED_IN_ERROR])}{others}; give a pattern "
            "that does, or rename the files"
        )
    return [str(patient) for patient in patients]
