"""The README's first command, with few photographs and steps."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from retina_adapt.adaptors import describe_adaptor
from retina_adapt.commands.demo import DemoError, run_demo
from retina_adapt.commands.draw import draw_photographs


@pytest.mark.slow
def test_the_demonstration_trains_exports_enhances_and_compares(tmp_path: Path) -> None:
    draw_photographs(tmp_path / "mine", count=10, seed=0, size=128)
    output = tmp_path / "demonstration"
    options = {"photographs": tmp_path / "mine", "degradation": "light", "seed": 0, "console": Console(quiet=True)}
    sheet = run_demo(output, steps=2, **options)
    assert sheet.is_file()
    assert describe_adaptor(output / "adapted" / "adaptor").metadata.pairs_seen == 7
    held_out = {path.name for path in (output / "photographs" / "test").iterdir()}
    for adaptor in ("adaptor", "light"):
        assert {path.name for path in (output / "enhanced" / adaptor).iterdir()} == held_out
    results = json.loads((output / "evaluation" / "results.json").read_text())
    methods = [summary["method"] for summary in results["summaries"]]
    assert methods == ["degraded", "CLAHE", "adaptor, fast", "light, fast"]


def test_too_few_photographs_are_an_error_that_says_how_many(tmp_path: Path) -> None:
    draw_photographs(tmp_path / "mine", count=2, seed=0, size=64)
    with pytest.raises(DemoError, match="holds 2 photographs; give at least 10"):
        run_demo(
            tmp_path / "out",
            photographs=tmp_path / "mine",
            degradation="light",
            steps=2,
            seed=0,
            console=Console(quiet=True),
        )
