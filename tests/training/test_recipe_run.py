"""How a recipe ends: an error that the user can mend is one line."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.training import run_recipe


@dataclass
class Config:
    """What to do.

    Args:
        numbers: how many numbers to hold in memory.
    """

    numbers: int = 1


def end_of(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None, numbers: int = 1) -> str:
    """The exit status of a recipe that raises `error`, or holds so many numbers; a text is printed and means 1."""

    def main(config: Config) -> None:
        torch.empty(config.numbers)
        if error is not None:
            raise error

    monkeypatch.setattr(sys, "argv", ["recipe.py", "--numbers", str(numbers)])
    with pytest.raises(SystemExit) as ended:
        run_recipe(main, Config, description="a test")
    return str(ended.value.code)


def test_too_little_memory_is_one_line_that_says_what_needs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    said = end_of(monkeypatch, numbers=10**13)
    assert said.startswith("error: not enough memory (")
    assert "lower batch_size" in said
    assert "\n" not in said
    assert "(MemoryError)" in end_of(monkeypatch, MemoryError())
    with pytest.raises(RuntimeError, match="a bug"):
        end_of(monkeypatch, RuntimeError("a bug"))


def test_an_error_of_the_package_or_the_system_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert end_of(monkeypatch, RetinaAdaptError("eye.png: broken")) == "error: eye.png: broken"
    missing = FileNotFoundError(2, "No such file", str(tmp_path / "absent"))
    assert "absent'; check the path" in end_of(monkeypatch, missing)
