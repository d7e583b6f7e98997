"""`recipes/benchmark.py registration`: takes of one eye are told from those of two."""

import json
from collections.abc import Callable
from pathlib import Path

from retina_adapt.commands.draw import draw_photographs


def test_takes_of_one_eye_are_registered_and_those_of_two_are_not(
    start_recipe: Callable[..., str], tmp_path: Path
) -> None:
    draw_photographs(tmp_path / "eyes" / "test", count=2, seed=3, size=320)
    photographs = json.dumps({"drawn": {"path": str(tmp_path / "eyes"), "split": "test"}})
    written = ["--results", tmp_path / "registration.json", "--document", tmp_path / "results.md"]
    printed = start_recipe(
        "benchmark", "registration", "--photographs", photographs, "--degradations", "[light]", *written
    )
    assert printed.strip() in (tmp_path / "results.md").read_text()
    shifts = json.loads((tmp_path / "registration.json").read_text())["rows"]["drawn"]["light"]
    assert shifts["two eyes"] == [None, None]
    assert all(shift is not None and shift < 0.002 for shift in shifts["one eye"])
    assert "| drawn | light | 2 of 2 | 0 | 0 |" in printed
    assert "| 0 of 2 |" in printed


def test_what_is_registered_and_what_is_left_out_is_counted_apart(
    start_recipe: Callable[..., str], tmp_path: Path
) -> None:
    rows = {"HRF": {"haze": {"one eye": [0.001, 0.004, None], "two eyes": [None, 0.0, None]}}}
    (tmp_path / "registration.json").write_text(json.dumps({"rows": rows}))
    written = ["--results", tmp_path / "registration.json", "--document", tmp_path / "results.md"]
    printed = start_recipe("benchmark", "registration", *written, "--only_document", "true")
    assert "| HRF | haze | 1 of 3 | 1 | 1 | 0.10%, 0.10% | 1 of 3 |" in printed
