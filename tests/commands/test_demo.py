"""The README's first command, with few photographs and steps."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
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
    with pytest.raises(DemoError, match="holds 2 photographs that can be used; give at least 10"):
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


def test_photographs_of_another_demonstration_are_not_taken_for_these(tmp_path: Path) -> None:
    for name in ("mine", "others"):
        draw_photographs(tmp_path / name, count=10, seed=0, size=64)
    output, console = tmp_path / "demonstration", Console(quiet=True)
    split_photographs(output, tmp_path / "mine", 0, console)
    split_photographs(output, tmp_path / "mine", 0, console)
    for given in (tmp_path / "others", tmp_path / "nowhere", None):
        with pytest.raises(DemoError, match="another output folder"):
            split_photographs(output, given, 0, console)


def test_photographs_that_cannot_be_prepared_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_photographs(tmp_path / "mine", count=10, seed=0, size=64)
    (tmp_path / "mine" / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (64, 64)).save(tmp_path / "mine" / "black.png")
    split_photographs(tmp_path / "demonstration", tmp_path / "mine", 0, Console(width=500))
    assert len(list((tmp_path / "demonstration").rglob("*.png"))) == 10
    told = capsys.readouterr().out
    assert "left out" in told
    assert "broken.png" in told
    assert "black.png" in told


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
