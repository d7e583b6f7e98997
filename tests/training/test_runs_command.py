"""`retina-adapt runs` over two real toy runs."""

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from accelerate import Accelerator
from rich.console import Console
from toy_training import ToyStep, toy_settings, train_toy
from typer.testing import CliRunner

from retina_adapt.cli_runs import runs_app
from retina_adapt.commands.runs import find_runs, plot_runs, run_table
from retina_adapt.training import TrackingSettings, Validation, start_run
from retina_adapt.training.run_record import RunRecordError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, rate in (("slow", 0.01), ("fast", 0.05)):
        settings = toy_settings(learning_rate=rate, validate_every=4, log_every=2)
        accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=folder / name)
        start_run(accelerator, settings, folder / name, TrackingSettings())
        score = Validation({"psnr": 1000 * rate})
        train_toy(ToyStep(), folder / name, settings, accelerator=accelerator, validate=lambda score=score: score)
        accelerator.end_training()
    return folder


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(runs_app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_shows_where_each_training_stands(runs: Path) -> None:
    console = Console(width=300, record=True)
    console.print(run_table(find_runs(runs)))
    fast, slow = console.export_text().splitlines()[1:]
    assert all(part in fast for part in ("fast", "toy", "finished", "12/12", "psnr 50"))
    assert "psnr 10" in slow
    assert "psnr" in call("list", runs)
    assert set(json.loads(call("list", runs, "--json"))) == {str(runs / "fast"), str(runs / "slow")}


def test_a_dry_run_is_told_from_its_run_however_narrow_the_terminal(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "a_long_name_of_a_run"
    for folder in (run, run / "dry_run"):
        shutil.copytree(runs / "fast", folder)
    console = Console(width=60, record=True)
    console.print(run_table(find_runs(tmp_path)))
    printed = "".join(line.split()[0] for line in console.export_text().splitlines() if line.strip())
    assert printed.count(f"{run}") == 2
    console = Console(width=300, record=True)
    console.print(run_table(find_runs(tmp_path)))
    assert console.export_text().count("dry run") == 1


def test_scores_of_degraded_photographs_stand_before_those_of_the_enhanced_ones() -> None:
    scores = {"psnr": 27.41, "psnr_degraded": 16.7}
    console = Console(width=300, record=True)
    console.print(run_table({Path("run"): {"trainings": {"toy": {"step": 1, "steps": 1, "scores": scores}}}}))
    told = console.export_text()
    assert "psnr 16.7 -> 27.41" in told
    assert "degraded" not in told


@pytest.mark.parametrize("content", ["[]", '{"starts": 3}', '{"name": "of another program"}', "no JSON"])
def test_a_file_of_another_program_is_named_and_hides_no_run(runs: Path, tmp_path: Path, content: str) -> None:
    shutil.copytree(runs / "slow", tmp_path / "slow")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text(content)
    console = Console(width=300, record=True)
    console.print(run_table(find_runs(tmp_path)))
    lines = console.export_text().splitlines()
    assert any("other" in line and "cannot be read" in line for line in lines)
    assert any("slow" in line and "finished" in line for line in lines)


def test_show_prints_the_configuration(runs: Path) -> None:
    shown = call("show", runs / "fast").splitlines()
    assert {"config.learning_rate: 0.05", "seeds.seed: 0", "starts: 1"} <= set(shown)


def test_compare_shows_what_differs_and_the_scores_and_draws_a_line_a_run(runs: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curves.svg"
    found = json.loads(call("compare", runs / "slow", runs / "fast", "--json", "--plot", picture, "--tag", "toy/loss"))
    assert found["settings"] == {"learning_rate": [0.01, 0.05]}
    assert found["scores"] == {"toy/psnr": [10.0, 50.0]}
    lines = ElementTree.parse(picture).findall(".//{http://www.w3.org/2000/svg}polyline")
    assert [len(line.get("points").split()) for line in lines] == [6, 6]
    assert "learning_rate" in call("compare", runs / "slow", runs / "fast")


def test_folders_without_runs_and_unknown_tags_are_errors(runs: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    for arguments in (["show", str(tmp_path)], ["list", str(tmp_path / "no")], ["compare", str(runs / "fast")]):
        assert isinstance(runner.invoke(runs_app, arguments).exception, RunRecordError)
    with pytest.raises(RunRecordError, match="'nothing'"):
        plot_runs([runs / "fast"], tmp_path / "x.svg", "nothing")
