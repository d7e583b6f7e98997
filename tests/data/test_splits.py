"""Splits by patient."""

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retina_adapt.data import (
    MissingColumnError,
    PatientLeakError,
    SplitError,
    check_no_patient_leak,
    split_by_patient,
)


def rows_of(patients: list) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"patient": patients, "row": list(range(len(patients)))})


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=3, max_size=15),
    seed=st.integers(0, 2**32),
    test_share=st.floats(0.01, 0.5),
)
def test_any_split_holds_every_photograph_once_and_every_patient_in_one_place(counts, seed, test_share):
    patients = [f"patient-{number}" for number, count in enumerate(counts) for _ in range(count)]
    fractions = {"train": 0.9 - test_share, "validation": 0.1, "test": test_share}
    splits = split_by_patient(rows_of(patients), fractions, seed=seed)
    check_no_patient_leak(splits)
    assert sorted(row for split in splits.values() for row in split["row"]) == list(range(len(patients)))
    assert all(len(split) > 0 for split in splits.values())


def test_shares_are_met_up_to_one_patient():
    patients = [f"patient-{number // 2}" for number in range(200)]
    splits = split_by_patient(rows_of(patients), {"train": 0.7, "validation": 0.1, "test": 0.2}, seed=0)
    assert len(splits["train"]) == pytest.approx(140, abs=2)
    assert len(splits["test"]) == pytest.approx(40, abs=2)


def test_the_seed_decides_the_split():
    rows = rows_of([f"patient-{number}" for number in range(30)])

    def test_patients(seed):
        return split_by_patient(rows, {"train": 0.8, "test": 0.2}, seed=seed)["test"]["patient"][:]

    assert test_patients(1) == test_patients(1)
    assert test_patients(1) != test_patients(2)


def test_a_leak_is_an_error_that_names_patient_and_splits():
    splits = {"train": rows_of(["anna", "ben"]), "test": rows_of(["carl", "ben", None])}
    with pytest.raises(PatientLeakError, match="ben is in train, test") as failure:
        check_no_patient_leak(splits)
    assert "anna" not in str(failure.value)


@pytest.mark.parametrize("unknown", [None, ""])
def test_photographs_of_unknown_patients_are_no_leak(unknown):
    check_no_patient_leak({"train": rows_of(["anna", unknown]), "test": rows_of(["carl", unknown])})


@pytest.mark.parametrize(
    ("patients", "fractions"),
    [
        (["a", "b"], {"train": 0.8, "test": 0.3}),
        (["a", "b"], {"train": 1.0, "test": 0.0}),
        (["a", None], {"train": 0.5, "test": 0.5}),
        (["a", "b", ""], {"train": 0.5, "test": 0.5}),
        ([1.0, 2.0, float("nan")], {"train": 0.5, "test": 0.5}),
        (["a", "a"], {"train": 0.5, "test": 0.5}),
    ],
)
def test_what_cannot_be_split_is_an_error(patients, fractions):
    with pytest.raises(SplitError):
        split_by_patient(rows_of(patients), fractions, seed=0)


def test_a_data_set_without_patients_is_an_error():
    with pytest.raises(MissingColumnError, match=r"'subject'.*patient"):
        split_by_patient(rows_of(["a", "b"]), {"train": 0.5, "test": 0.5}, seed=0, patient_column="subject")


@pytest.mark.corpus
@pytest.mark.parametrize("collection", ["hrf", "chase_db1", "csdi"])
def test_the_splits_of_the_corpus_share_no_patient(corpus, collection):
    from retina_adapt.data import load_images

    splits = {split: load_images(corpus / collection, split=split) for split in ("train", "validation", "test")}
    check_no_patient_leak(splits)
