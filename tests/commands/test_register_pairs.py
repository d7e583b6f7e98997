"""`retina-adapt register-pairs`: pairs that were taken twice become pairs to train on, and others are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from retina_adapt.cli import app
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import Photograph, write_photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three eyes, the low take of each dim, and turned about the centre by 4 degrees."""
    for number in range(3):
        high = draw_fundus(number, 400)[0]
        turned = cv2.warpAffine(high, cv2.getRotationMatrix2D((200, 200), 4, 1), (400, 400), flags=cv2.INTER_CUBIC)
        for name, pixels in (("low", turned.clip(0, 1) / 2), ("high", high)):
            write_photograph(Photograph(pixels=pixels), tmp_path / name / f"p{number}_eye.1.jpg")
    return tmp_path / "low", tmp_path / "high"


def call(*arguments: object) -> tuple[int, str]:
    """Exit status and all that was printed; a mistake in the command is 2 and its message, as `main` shows it."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if isinstance(result.exception, RetinaAdaptError):
        return 2, str(result.exception)
    return result.exit_code, " ".join(result.output.split())


def test_turned_pairs_agree_afterwards(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert call("check-pairs", *folders)[0] == 1
    status, told = call("register-pairs", *folders, tmp_path / "registered")
    assert status == 0, told
    assert "p1_eye.1: was turned by 4.0 degrees" in told
    assert told.endswith("3 of 3 pairs registered")
    registered = [tmp_path / "registered" / side for side in ("low", "high")]
    assert sorted(path.name for path in registered[0].iterdir()) == [f"p{number}_eye.1.png" for number in range(3)]
    assert call("check-pairs", *registered)[0] == 0


def test_a_pair_that_is_none_and_a_broken_one_do_not_stop_the_others(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    low, _ = folders
    write_photograph(Photograph(pixels=draw_fundus(7, 400)[0] / 2), low / "p0_eye.1.jpg")
    (low / "p2_eye.1.jpg").write_bytes(b"no picture")
    status, told = call("register-pairs", *folders, tmp_path / "registered")
    assert status == 1
    assert "p0_eye.1.jpg: its vessels are not found in" in told
    assert "p2_eye.1.jpg" in told
    assert "1 of 3 pairs registered" in told
    assert [path.name for path in (tmp_path / "registered" / "low").iterdir()] == ["p1_eye.1.png"]


def test_where_no_pair_can_be_registered_the_status_says_so(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for path in folders[0].iterdir():
        write_photograph(Photograph(pixels=np.zeros((400, 400, 3), np.float32)), path)
    assert call("register-pairs", *folders, tmp_path / "registered")[0] == 3


def test_what_is_there_already_is_left_alone(folders: tuple[Path, Path], tmp_path: Path) -> None:
    status, told = call("register-pairs", *folders, tmp_path)
    assert status == 2
    assert "exists already; give a new folder" in told
    assert call("register-pairs", *folders, folders[0] / "registered")[0] == 2
