"""A run goes on from its own checkpoints alone: those of other data, losses or seeds are refused, whatever they fit."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from accelerate import Accelerator
from toy_training import ToyStep, toy_settings, train_toy

from retina_adapt.training import CheckpointError, TrackingSettings, TrainingSettings, start_run


@dataclass
class Source:
    path: str


@dataclass
class Beginning:
    """Has a setting that is called as one of the training loop's, and is none."""

    steps: int = 4


@dataclass
class Recipe:
    output_folder: str
    degradation: str = "light"
    clear: list[Source] = field(default_factory=lambda: [Source("photographs")])
    where: dict[str, int] = field(default_factory=lambda: {"grade": 3})
    small: Beginning = field(default_factory=lambda: Beginning())
    validation: list[Source] = field(default_factory=list)
    toy: TrainingSettings = field(default_factory=toy_settings)


@pytest.fixture
def begun(tmp_path: Path) -> Recipe:
    """A run that was interrupted after its first checkpoint."""
    recipe = Recipe(str(tmp_path / "run"))
    start(recipe)
    train_toy(ToyStep(), tmp_path / "run", recipe.toy, batches=6)
    return recipe


def start(recipe: Recipe) -> None:
    accelerator = Accelerator(cpu=True, log_with=[], project_dir=recipe.output_folder)
    start_run(accelerator, recipe, recipe.output_folder, TrackingSettings())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"degradation": "haze"}, r"degradation: light then, haze now"),
        ({"clear": [Source("others")]}, r"clear\.0\.path: photographs then, others now"),
        ({"clear": [Source("photographs"), Source("more")]}, r"clear\.1\.path: None then, more now"),
        ({"where": {}}, r"where\.grade: 3 then, None now"),
        ({"where": {"grade": 3, "quality": 2}}, r"where\.quality: None then, 2 now"),
        ({"where": {"grade": 3, "validation": 2}}, r"where\.validation: None then, 2 now"),
        ({"small": Beginning(steps=2)}, r"small\.steps: 4 then, 2 now"),
        ({"toy": toy_settings(seed=3)}, r"toy\.seed: 0 then, 3 now"),
        ({"toy": toy_settings(moving_average_decay=0.9)}, r"toy\.moving_average_decay: 0\.0 then, 0\.9 now"),
    ],
)
def test_another_result_is_refused_and_told(begun: Recipe, change: dict, named: str) -> None:
    with pytest.raises(CheckpointError, match=rf"{named}.*Use another output_folder, or delete"):
        start(replace(begun, **change))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"toy": toy_settings(learning_rate=0.01, steps=20, batch_size=2, workers=1)},
        {"validation": [Source("more")]},
    ],
)
def test_how_it_is_trained_and_validated_may_change(begun: Recipe, change: dict) -> None:
    start(replace(begun, **change))


def test_training_data_with_other_files_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, validation = tmp_path / "train", tmp_path / "validation"
    for folder in (train, validation):
        folder.mkdir()
        (folder / "eye.png").write_bytes(b"12345")
    recipe = Recipe(str(tmp_path / "run"), clear=[Source(str(train))], validation=[Source(str(validation))])
    start(recipe)
    train_toy(ToyStep(), tmp_path / "run", recipe.toy, batches=6)
    (validation / "other.png").write_bytes(b"12345")
    start(recipe)
    assert "warning" not in capsys.readouterr().out
    (train / "other.png").write_bytes(b"12345")
    start(recipe)
    assert f"warning: {train} has other files" in capsys.readouterr().out


def test_a_recipe_that_was_changed_is_told(
    begun: Recipe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start(begun)
    assert "warning" not in capsys.readouterr().out
    copy = tmp_path / "recipe.py"
    copy.write_text(Path(__file__).read_text() + "# Another loss.\n")
    monkeypatch.setattr(sys.modules[__name__], "__file__", str(copy))
    start(begun)
    assert f"warning: {copy} has changed since" in capsys.readouterr().out


def test_without_checkpoints_everything_may_change(tmp_path: Path) -> None:
    recipe = Recipe(str(tmp_path / "run"))
    start(recipe)
    start(replace(recipe, degradation="haze"))
