"""A failed photograph's message: one line, the file's name, the remedy, and for an error of our own its place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from retina_adapt.commands.batch import failure_message
from retina_adapt.degradations import draw_degradation
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import ImageReadError, write_photograph


def raised(call: Callable[[], object]) -> Exception:
    try:
        call()
    except Exception as error:
        return error
    pytest.fail("nothing was raised")


def test_a_known_error_is_told_as_it_is() -> None:
    assert failure_message(Path("a.png"), RetinaAdaptError("a.png: is empty")) == "a.png: is empty"


def test_an_error_that_does_not_name_the_file_gets_its_name() -> None:
    error = raised(lambda: draw_degradation("haez", seed=0))
    assert failure_message(Path("a.png"), error).startswith("a.png: there is no preset 'haez'")


def test_an_unexpected_error_says_where_in_the_package_it_came_up(tmp_path: Path) -> None:
    message = failure_message(Path("a.png"), raised(lambda: write_photograph(None, tmp_path / "a.png")))
    assert message.startswith("a.png: unexpected ")
    assert "(in imaging/writing.py, line " in message
    assert message.endswith("please report it")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_too_little_memory_is_no_defect(error: Exception) -> None:
    message = failure_message(Path("a.png"), error)
    assert message == "a.png: not enough memory to hold it; close other programs, or lower --workers"


def test_an_unexpected_error_from_elsewhere_has_no_place() -> None:
    message = failure_message(Path("a.png"), raised(lambda: {}["missing"]))
    assert message == "a.png: unexpected KeyError: 'missing'; please report it"


def test_a_name_cannot_begin_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "half\nfailed: x.jpg"
    told = failure_message(path, ImageReadError(f"{path}: truncated\nby the camera"))
    assert told == f"{tmp_path}/half\\nfailed: x.jpg: truncated by the camera"
    for name, shown in (("two  blanks.jpg", "two  blanks.jpg"), ("\x1b[31m.jpg", "\\x1b[31m.jpg")):
        assert failure_message(tmp_path / name, ImageReadError(f"{name}: damaged")) == f"{shown}: damaged"
        assert failure_message(tmp_path / name, ValueError("no")).startswith(f"{tmp_path}/{shown}: unexpected")
