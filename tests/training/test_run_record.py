"""run.json: what a run was made with, how far it got, and that it outlives a resume."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from accelerate import Accelerator
from toy_training import ToyStep, toy_settings, train_toy

from retina_adapt.configuration import parse_configuration
from retina_adapt.training import TrackerError, TrackingSettings, TrainingSettings, Validation, start_run
from retina_adapt.training.run_record import RunRecordError, data_fingerprints, git_state, read_run


@dataclass
class Source:
    """Where photographs are.

    Args:
        path: a folder.
    """

    path: str


@dataclass
class Config:
    """A run.

    Args:
        sources: of photographs.
        training: the loop.
    """

    sources: list[Source] = field(default_factory=list)
    training: TrainingSettings = field(default_factory=toy_settings)


def run(folder: Path, *, batches: int | None = None, **changes: object) -> dict:
    data = folder / "photographs"
    data.mkdir(parents=True, exist_ok=True)
    (data / "eye.png").write_bytes(b"12345")
    config = Config([Source(str(data))], toy_settings(validate_every=6, seed=3, **changes))
    accelerator = Accelerator(cpu=True)
    start_run(accelerator, config, folder, TrackingSettings())
    train_toy(
        ToyStep(),
        folder,
        config.training,
        accelerator=accelerator,
        batches=batches,
        validate=lambda: Validation({"psnr": 30.0}),
    )
    return read_run(folder)


def test_a_run_records_what_it_was_run_with_and_how_it_ended(tmp_path: Path) -> None:
    record = run(tmp_path)
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert record["config"] == stored
    assert record["configuration_class"] == "Config"
    assert record["seeds"] == {"training.seed": 3}
    assert record["processes"] == 1
    assert {"torch", "peft"} <= record["versions"].keys()
    assert record["hardware"]["processors"] >= 1
    assert record["data"][str(tmp_path / "photographs")]["files"] == 1
    progress = record["trainings"]["toy"]
    assert (progress["status"], progress["step"], progress["steps"]) == ("finished", 12, 12)
    assert progress["scores"] == {"psnr": 30.0}


def test_a_resumed_run_keeps_its_earlier_starts(tmp_path: Path) -> None:
    cut = run(tmp_path, batches=8)
    assert (cut["trainings"]["toy"]["status"], cut["trainings"]["toy"]["step"]) == ("running", 6)
    assert len(run(tmp_path)["starts"]) == 2


def test_the_fingerprint_changes_with_a_files_name_or_size_and_not_with_the_folder(tmp_path: Path) -> None:
    def fingerprint(folder: Path) -> str:
        return data_fingerprints({"data": [{"path": str(folder)}]})[str(folder)]["sha256"]

    one = tmp_path / "one"
    one.mkdir()
    (one / "a.png").write_bytes(b"123")
    first = fingerprint(one)
    shutil.copytree(one, tmp_path / "two")
    assert fingerprint(tmp_path / "two") == first
    (one / "a.png").write_bytes(b"1234")
    longer = fingerprint(one)
    (one / "a.png").rename(one / "b.png")
    assert len({first, longer, fingerprint(one)}) == 3


def test_brackets_and_the_home_folder_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "eyes [2023]").mkdir()
    (tmp_path / "eyes [2023]" / "a.png").write_bytes(b"123")
    monkeypatch.setenv("HOME", str(tmp_path))
    found = data_fingerprints({"clear": [{"path": "~/eyes [2023]"}, {"path": str(tmp_path / "*")}]})
    assert [source["files"] for source in found.values()] == [1, 1]


def test_sources_that_are_not_on_this_machine_have_no_fingerprint() -> None:
    assert data_fingerprints({"path": "hub:owner/name", "low_folder": None}) == {}


def test_the_commit_is_that_of_the_scripts_checkout(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    (tmp_path / "recipe.py").write_text("1")
    for command in (["init", "-q"], ["add", "recipe.py"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    state = git_state(tmp_path)
    assert len(state["commit"]) == 40
    assert not state["modified"]
    (tmp_path / "recipe.py").write_text("2")
    assert git_state(tmp_path)["modified"]


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_record_that_cannot_be_read_is_an_error_that_names_it(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunRecordError, match=r"run\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trackers": ["tensorbord"]}, "did you mean 'tensorboard'"),
        ({"trackers": ["comet_ml"]}, "'comet_ml' is not installed"),
        ({"options": {"wandb": {}}}, "'wandb' is none of the trackers"),
    ],
)
def test_a_tracker_that_cannot_be_is_an_error(settings: dict, message: str) -> None:
    with pytest.raises(TrackerError, match=message):
        TrackingSettings(**settings)


def test_an_option_of_a_tracker_may_be_a_list_as_tags_are(tmp_path: Path) -> None:
    path, options = tmp_path / "config.yaml", {"tensorboard": {"tags": ["pairs", "1"], "flush_secs": 10}}
    path.write_text(yaml.safe_dump({"options": options}))
    assert parse_configuration(TrackingSettings, description="", arguments=["--config", str(path)]).options == options
