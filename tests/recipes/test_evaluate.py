"""What recipes/evaluate.py calls adaptors and degradations, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from retina_adapt.commands.degrade import degrade_photographs
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.configuration import ConfigurationError, parse_configuration
from retina_adapt.data import Draw, PairingError, PairSource, PhotographSource, open_pairs
from retina_adapt.evaluation import score_image
from retina_adapt.imaging import ImageReadError


@pytest.fixture
def evaluate(load_recipe: Callable[[str], ModuleType]) -> ModuleType:
    return load_recipe("evaluate")


def test_adaptors_of_one_name_have_rows_of_their_own(evaluate: ModuleType) -> None:
    names = {"light": "light", "runs/a/adaptor": "mine", "runs/b/adaptor": "mine"}
    assert evaluate.labels_of(names) == {path: path for path in names}
    assert evaluate.labels_of({"runs/a/adaptor": "mine"}) == {"runs/a/adaptor": "mine"}


def test_photographs_of_one_name_in_several_folders_are_told_apart(evaluate: ModuleType) -> None:
    assert evaluate.short_names(["/all/p0/left.png", "/all/p1/left.png"]) == ["p0/left.png", "p1/left.png"]
    assert evaluate.short_names(["/all/left.png", "/all/right.png"]) == ["left.png", "right.png"]
    for mixed in (["row 3, column 'high'"], ["/all/left.png", "row 3, column 'high'"]):
        assert evaluate.short_names(mixed) == mixed


def test_pairs_that_are_not_there_are_told_before_anything_is_enhanced(
    evaluate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_photographs(tmp_path / "clear", count=1, seed=0, size=96)
    config = evaluate.EvaluateConfig(
        output_folder=str(tmp_path / "evaluation"),
        data_sets=[evaluate.EvaluatedDataSet("drawn", PhotographSource(path=str(tmp_path / "clear")))],
        degradations=[evaluate.EvaluatedDegradation("light", ["light"])],
        pairs=[evaluate.EvaluatedPairs("clinic", PairSource(low_folder="typo", high_folder="other"), ["light"])],
    )
    monkeypatch.setattr(evaluate, "enhance", lambda *_: pytest.fail("enhanced before all pairs were opened"))
    with pytest.raises(ImageReadError, match="typo"):
        evaluate.main(config)


def test_one_preset_at_two_severities_is_two_degradations(evaluate: ModuleType) -> None:
    severities = (None, [0.2, 0.4], [0.8, 1.0])
    labels = [
        evaluate.label_of(evaluate.EvaluatedDegradation(preset="light", adaptors=[], severity=severity))
        for severity in severities
    ]
    assert labels == ["light", "light 0.2-0.4", "light 0.8-1"]


def test_a_column_of_the_sheet_names_the_adaptor_where_all_its_pictures_are_by_one(evaluate: ModuleType) -> None:
    assert evaluate.column_title(("adaptor, fast",)) == "adaptor, fast"
    assert evaluate.column_title(("light, fast", "light, fast")) == "light, fast"
    assert evaluate.column_title(("light, fast", "haze, fast")) == "fast"


@pytest.mark.parametrize("draws", [1, 3])
def test_each_photograph_is_degraded_as_often_as_asked_for(evaluate: ModuleType, draws: int, tmp_path: Path) -> None:
    draw_photographs(tmp_path / "photographs" / "test", count=2, seed=0, size=96)
    config = evaluate.EvaluateConfig(
        output_folder=str(tmp_path / "evaluation"),
        data_sets=[
            evaluate.EvaluatedDataSet("drawn", PhotographSource(path=str(tmp_path / "photographs"), split="test"))
        ],
        degradations=[evaluate.EvaluatedDegradation("light", ["light"], draws=draws)],
        modes=["fast"],
        pictures=1,
    )
    evaluate.main(config)
    rows = json.loads((tmp_path / "evaluation" / "results.json").read_text())["rows"]
    degraded = [row["scores"]["psnr"] for row in rows if row["method"] == "degraded"]
    assert len(degraded) == len(set(degraded)) == 2 * draws


def test_pairs_with_real_faults_are_scored_beside_simulated_ones(evaluate: ModuleType, tmp_path: Path) -> None:
    clear, low = tmp_path / "pairs" / "high", tmp_path / "pairs" / "low"
    draw_photographs(clear, count=2, seed=0, size=96)
    degrade_photographs(clear, low, preset="light", seed=0, field_of_view="auto", console=Console(quiet=True))
    config = evaluate.EvaluateConfig(
        output_folder=str(tmp_path / "evaluation"),
        data_sets=[evaluate.EvaluatedDataSet("drawn", PhotographSource(path=str(clear)))],
        degradations=[evaluate.EvaluatedDegradation("light", ["light"])],
        pairs=[evaluate.EvaluatedPairs("clinic", PairSource(low_folder=str(low), high_folder=str(clear)), ["haze"])],
        modes=["fast"],
    )
    evaluate.main(config)
    rows = json.loads((tmp_path / "evaluation" / "results.json").read_text())["rows"]
    told = [(row["data_set"], row["degradation"], row["method"]) for row in rows if row["data_set"] == "clinic"]
    assert told == [("clinic", "real", method) for method in ("degraded", "CLAHE", "haze, fast")] * 2
    assert {row["image"] for row in rows if row["data_set"] == "clinic"} == {path.name for path in clear.iterdir()}
    pair = open_pairs(config.pairs[0].pairs, 256)[Draw(0, 0)]
    low_image, high_image, mask = (pair[key].permute(1, 2, 0).numpy() for key in ("low", "high", "mask"))
    degraded = next(row for row in rows if row["data_set"] == "clinic")
    assert degraded["scores"]["psnr"] == pytest.approx(score_image(low_image, high_image, mask[:, :, 0]).psnr)


def test_clear_photographs_are_no_pairs(evaluate: ModuleType) -> None:
    source = PairSource(clear=[PhotographSource(path="clear")], degradation="light")
    with pytest.raises(ConfigurationError, match="name these in data_sets"):
        evaluate.EvaluatedPairs("clinic", source, ["light"])


def test_nothing_to_evaluate_on_is_refused(evaluate: ModuleType) -> None:
    with pytest.raises(ConfigurationError, match="give photographs to evaluate on"):
        evaluate.EvaluateConfig("out")
    with pytest.raises(ConfigurationError, match="go together"):
        evaluate.EvaluateConfig("out", degradations=[evaluate.EvaluatedDegradation("light", ["light"])])


def test_no_draw_at_all_is_refused(evaluate: ModuleType) -> None:
    with pytest.raises(ConfigurationError, match="draws of light is 0"):
        evaluate.EvaluatedDegradation("light", [], draws=0)


def test_a_mistyped_mode_is_refused(evaluate: ModuleType) -> None:
    arguments = ["--output_folder", "x", "--data_sets", "[]", "--degradations", "[]", "--modes", "[difusion]"]
    with pytest.raises(ConfigurationError, match="difusion"):
        parse_configuration(evaluate.EvaluateConfig, description="", arguments=arguments)


@pytest.mark.parametrize("severity", [[0.5], [0.2, 0.5, 0.9]])
def test_a_severity_is_a_lowest_and_a_highest(severity: list[float], tmp_path: Path) -> None:
    draw_photographs(tmp_path / "train", count=1, seed=0, size=96)
    source = PairSource(clear=[PhotographSource(path=str(tmp_path))], degradation="light", severity=severity)
    with pytest.raises(PairingError, match="give the lowest and the highest"):
        open_pairs(source, 64)
