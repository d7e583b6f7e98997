"""`retina-adapt split-pairs`: every pair goes to one split, and every patient."""

import os
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from retina_adapt.cli import app
from retina_adapt.commands.split_pairs import patients_of
from retina_adapt.errors import RetinaAdaptError


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Both eyes of ten patients, and a third photograph of the last; what is in a file does not matter here."""
    low, high = tmp_path / "dim", tmp_path / "clear"
    names = [f"p{number}_{eye}" for number in range(10) for eye in ("left", "right")] + ["p9_again.2"]
    for name in names:
        for folder, suffix in ((low, ".jpg"), (high, ".png")):
            folder.mkdir(exist_ok=True)
            (folder / f"{name}{suffix}").write_text(f"{folder.name} {name}")
    return low, high


def split(*arguments: object) -> tuple[int, str]:
    """Exit status and all that was printed; a mistake in the command is 2 and its message, as `main` shows it."""
    result = CliRunner().invoke(app, ["split-pairs", *map(str, arguments)])
    if isinstance(result.exception, RetinaAdaptError):
        return 2, str(result.exception)
    return result.exit_code, result.output


def contents(folder: Path) -> set[str]:
    return {path.read_text() for path in folder.iterdir()}


def test_each_pair_is_copied_to_one_split_and_each_patient_too(folders: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "pairs"
    status, told = split(*folders, output, "--patient", "^[^_]+")
    assert status == 0
    parts = [output, output / "validation", output / "test"]
    copied = [sorted(path.stem for path in (part / "low").iterdir()) for part in parts]
    assert sorted(name for names in copied for name in names) == sorted(path.stem for path in folders[0].iterdir())
    assert [sorted(path.stem for path in (part / "high").iterdir()) for part in parts] == copied
    patients = [{name.split("_")[0] for name in names} for names in copied]
    assert len(set.union(*patients)) == sum(map(len, patients)) == 10
    assert contents(parts[0] / "low") == {f"dim {name}" for name in copied[0]}
    assert contents(parts[0] / "high") == {f"clear {name}" for name in copied[0]}
    assert f"train: {len(copied[0])} pairs of {len(patients[0])} patients" in told


def test_shares_are_met_up_to_a_patient_and_a_share_of_none_makes_no_split(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    status, _ = split(*folders, tmp_path / "pairs", "--patient", "^[^_]+", "--validation", 0.3, "--test", 0)
    assert status == 0
    assert not (tmp_path / "pairs" / "test").exists()
    assert abs(len(list((tmp_path / "pairs" / "validation" / "low").iterdir())) - 0.3 * 21) <= 2


def test_the_same_seed_divides_alike_and_another_does_not(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for output, seed in (("a", 1), ("b", 1), ("c", 2)):
        split(*folders, tmp_path / output, "--patient", "^[^_]+", "--seed", seed)
    first, again, other = (contents(tmp_path / output / "test" / "low") for output in ("a", "b", "c"))
    assert first == again != other


def test_subfolders_can_be_the_patients(tmp_path: Path) -> None:
    for side in ("low", "high"):
        for patient in ("anna", "ben", "carl"):
            (tmp_path / side / patient).mkdir(parents=True)
            (tmp_path / side / patient / "left.png").write_text(side + patient)
    status, told = split(tmp_path / "low", tmp_path / "high", tmp_path / "pairs", "--patient", "^[^/]+")
    assert status == 0, told
    copies = sorted(path.relative_to(tmp_path / "pairs") for path in (tmp_path / "pairs").rglob("*/low/*/*.png"))
    assert len(copies) == 2
    assert {path.parent.name for path in (tmp_path / "pairs").rglob("left.png")} == {"anna", "ben", "carl"}


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("^q", r"finds no patient in p0_left, .* and 16 more"),
        ("(", "not a regular expression"),
        ("x*", "finds no patient"),
    ],
)
def test_a_pattern_that_finds_no_patient_is_refused(
    pattern: str, said: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    status, told = split(*folders, tmp_path / "pairs", "--patient", pattern)
    assert status == 2
    assert re.search(said, told)
    assert not (tmp_path / "pairs").exists()


def test_a_folder_that_holds_something_is_left_alone(folders: tuple[Path, Path], tmp_path: Path) -> None:
    status, told = split(*folders, tmp_path, "--patient", "^[^_]+")
    assert status == 2
    assert "exists already; give a new folder" in told
    assert not (tmp_path / "low").exists()


def test_too_few_patients_for_the_splits_are_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    status, told = split(*folders, tmp_path / "pairs", "--patient", "^p")
    assert status == 2
    assert "--patient ^p: finds too few patients (p) for 3 splits; give another pattern, or --test 0" in told


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (0.7, 0.3), (0.9, 0.9), (0, 0.2)])
def test_shares_that_leave_nothing_to_train_on_or_to_validate_with_are_refused(
    validation: float, test: float, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    shares = ("--validation", validation, "--test", test)
    status, told = split(*folders, tmp_path / "pairs", "--patient", "^[^_]+", *shares)
    assert status == 2
    assert f"--validation {validation:g} and --test {test:g}" in told
    assert not (tmp_path / "pairs").exists()


def test_an_output_among_the_pairs_is_refused(folders: tuple[Path, Path]) -> None:
    status, told = split(*folders, folders[1] / "pairs", "--patient", "^[^_]+")
    assert status == 2
    assert "whose photographs it would add to" in told


def test_photographs_that_are_all_patients_of_their_own_are_doubted(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert "every pair has a patient of its own" in split(*folders, tmp_path / "a", "--patient", ".*")[1]
    assert "every pair has a patient of its own" not in split(*folders, tmp_path / "b", "--patient", "^[^_]+")[1]


def test_pictures_of_kinds_that_are_not_read_are_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[0] / "p0_left.bmp").write_text("a picture")
    assert "kinds that are not read (.bmp)" in " ".join(
        split(*folders, tmp_path / "pairs", "--patient", "^[^_]+")[1].split()
    )


def test_a_link_is_copied_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    for number in range(3):
        for side in ("low", "high"):
            (tmp_path / side).mkdir(exist_ok=True)
            (tmp_path / "store" / f"{side}{number}").write_text(side)
            (tmp_path / side / f"p{number}.png").symlink_to(tmp_path / "store" / f"{side}{number}")
    assert split(tmp_path / "low", tmp_path / "high", tmp_path / "pairs", "--patient", ".*")[0] == 0
    assert {path.name for path in (tmp_path / "pairs").rglob("p*")} == {"p0.png", "p1.png", "p2.png"}


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="this system's names are Unicode")
def test_a_name_that_is_no_unicode_is_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for folder in folders:
        Path(os.fsdecode(os.fsencode(folder) + b"/p1_\xfc.png")).write_text("an eye")
    status, told = split(*folders, tmp_path / "pairs", "--patient", "^[^_]+")
    assert status == 2
    assert r"p1_\xfc.png: the path is not UTF-8" in told


def test_one_accent_written_in_two_ways_is_one_name(folders: tuple[Path, Path], tmp_path: Path) -> None:
    low, high = folders
    (low / f"{unicodedata.normalize('NFD', 'müller')}_left.jpg").write_text("dim")
    (high / f"{unicodedata.normalize('NFC', 'müller')}_left.png").write_text("clear")
    assert split(low, high, tmp_path / "pairs", "--patient", "^[^_]+")[0] == 0


@given(st.lists(st.from_regex(r"[a-z]{1,3}_[a-z]{1,3}", fullmatch=True), min_size=1))
def test_a_group_of_the_pattern_is_the_patient(names: list[str]) -> None:
    assert patients_of(names, "^([a-z]+)_") == [name.split("_")[0] for name in names]
