"""The README's first command, with few photographs and steps."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from retina_adapt.adaptors import describe_adaptor
from retina_adapt.commands.demo import DemoError, demo_adaptation, demo_degradations, run_demo, split_photographs
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


def test_an_unknown_degradation_is_an_error_that_lists_the_known_ones_before_anything_is_drawn(tmp_path: Path) -> None:
    # `pairs_few` has a configuration of the recipe, but nothing to simulate.
    for degradation in ("haez", "pairs_few"):
        with pytest.raises(DemoError, match="there are: blur, haze, light, mixed, spots"):
            run_demo(
                tmp_path / "out",
                photographs=None,
                degradation=degradation,
                steps=2,
                seed=0,
                console=Console(quiet=True),
            )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("degradation", demo_degradations())
@pytest.mark.parametrize("steps", [1, 300])
def test_every_degradation_is_shown_in_the_steps_that_are_asked_for(degradation: str, steps: int) -> None:
    config = demo_adaptation(Path("out"), degradation, steps, seed=0)
    assert config["autoencoder"]["steps"] == steps
    assert config["small_frames"]["steps"] + config["second_look"]["steps"] <= steps
    assert config["second_look"]["steps"] == 0


def test_an_interrupted_split_leaves_nothing_and_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_photographs(tmp_path / "mine", count=10, seed=0, size=64)
    output = tmp_path / "demonstration"
    copies = []

    def copy_until_interrupted(source: Path, target: Path) -> None:
        if len(copies) == 5:
            raise KeyboardInterrupt
        copies.append(target)
        shutil.copyfile(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("retina_adapt.commands.demo.shutil.copyfile", copy_until_interrupted)
        with pytest.raises(KeyboardInterrupt):
            split_photographs(output, tmp_path / "mine", 0, Console(quiet=True))
    assert list(output.iterdir()) == []
    split_photographs(output, tmp_path / "mine", 0, Console(quiet=True))
    held = {split: len(list((output / "photographs" / split).iterdir())) for split in ("train", "validation", "test")}
    assert held == {"train": 7, "validation": 1, "test": 2}
