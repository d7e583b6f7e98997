"""`retina-adapt check-pairs`: which pairs should not be trained on as they are."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from retina_adapt.cli import app
from retina_adapt.commands.check_pairs import doubt_about
from retina_adapt.data import Alignment
from retina_adapt.imaging import Photograph, write_photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three pairs of drawn eyes, the low one of each at half the brightness."""
    for number in range(3):
        high = draw_fundus(number, 400)[0]
        for name, pixels in (("low", high / 2), ("high", high)):
            (tmp_path / name).mkdir(exist_ok=True)
            write_photograph(Photograph(pixels=pixels), tmp_path / name / f"eye_{number}.png")
    return tmp_path / "low", tmp_path / "high"


def check(*folders: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check-pairs", *map(str, folders)])
    return result.exit_code, " ".join(result.output.split())


def test_good_pairs_agree(folders: tuple[Path, Path]) -> None:
    status, told = check(*folders)
    assert status == 0
    assert told.endswith("3 of 3 pairs agree to 0.2% of the eye's width")
    assert "doubtful" not in told


def test_shifted_exchanged_and_broken_pairs_are_told_apart(folders: tuple[Path, Path]) -> None:
    low, high = folders
    shifted = draw_fundus(0, 400)[0] / 2
    write_photograph(Photograph(pixels=np.roll(shifted, (-8, 12), (0, 1))), low / "eye_0.png")
    write_photograph(Photograph(pixels=draw_fundus(7, 400)[0] / 2), low / "eye_1.png")
    (low / "eye_2.png").write_bytes(b"no picture")
    status, told = check(low, high)
    assert status == 1
    assert "0 of 3 pairs agree" in told
    assert re.search(r"eye_0\.png: its partner is shifted by 2\.\d% up and 3\.\d% right", told)
    assert "eye_1.png: its vessels hardly match its partner's" in told
    assert "eye_2.png" in told


def test_pairs_of_which_none_can_be_read_are_told(folders: tuple[Path, Path]) -> None:
    low, high = folders
    for path in low.iterdir():
        path.write_bytes(b"no picture")
    status, told = check(low, high)
    assert status == 1
    assert "eye_1.png" in told
    assert told.endswith("0 of 3 pairs agree to 0.2% of the eye's width")
    assert "largest_broken_share" not in told


def test_one_folder_for_both_is_a_mistake(folders: tuple[Path, Path]) -> None:
    result = CliRunner().invoke(app, ["check-pairs", str(folders[0]), str(folders[0])])
    assert "both low_folder and high_folder" in str(result.exception)


def test_folders_that_do_not_pair_up_are_a_mistake(folders: tuple[Path, Path]) -> None:
    low, high = folders
    (low / "eye_0.png").unlink()
    result = CliRunner().invoke(app, ["check-pairs", str(low), str(high)])
    assert "no partner" in str(result.exception)


def test_a_shift_below_what_matters_is_none() -> None:
    assert doubt_about(Alignment(0.001, 0.001, 0.9)) == ""
    assert "0.5% down" in doubt_about(Alignment(0.005, 0.0, 0.9))
