"""A dry run says what the full run takes and leaves nothing that could be taken for a run's checkpoint."""

import json
from pathlib import Path

import pytest
import torch
from toy_training import ToyStep, toy_settings, train_toy

from retina_adapt.training import TrainingSettingsError, UnusedParameterError, Validation
from retina_adapt.training.dry_run import report_of


def test_it_takes_two_steps_and_reports_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A third batch would be a power cut.
    validation = train_toy(ToyStep(), tmp_path, toy_settings(dry_run=True, steps=1000), batches=2)
    assert validation.scores == {"score": 1.0}
    report = json.loads((tmp_path / "dry_run_toy.json").read_text())
    assert (report["parameters"], report["trainable_parameters"]) == (42, 41)
    assert report["peak_memory_bytes"] > 2**20
    assert report["checkpoint_bytes"] > 41 * 4 * 3
    printed = capsys.readouterr().out
    assert "42, of which 41 are trained" in printed
    assert "a full run: at most about" in printed
    assert not (tmp_path / "checkpoints" / "toy").exists()


def test_the_checkpoints_of_an_earlier_training_stay(tmp_path: Path) -> None:
    train_toy(ToyStep(), tmp_path, toy_settings())
    before = sorted(path.relative_to(tmp_path) for path in (tmp_path / "checkpoints").rglob("*"))
    assert before
    train_toy(ToyStep(), tmp_path, toy_settings(dry_run=True))
    assert sorted(path.relative_to(tmp_path) for path in (tmp_path / "checkpoints").rglob("*")) == before


def test_the_full_run_is_its_steps_validations_and_checkpoints() -> None:
    settings = toy_settings(steps=10, validate_every=4, checkpoint_every=5)
    report = report_of(
        ToyStep(),
        settings,
        torch.device("cpu"),
        seconds_per_step=1.0,
        seconds_per_validation=100.0,
        seconds_per_checkpoint=1000.0,
        checkpoint_bytes=1,
    )
    # Validations after 4, 8 and 10 steps, checkpoints after 4, 5, 8 and 10.
    assert report.seconds_in_all == 10 + 300 + 4000


def test_it_meets_the_errors_of_the_full_run(tmp_path: Path) -> None:
    idle = ToyStep()
    idle.idle = idle.layers[0].__class__(2, 2)
    with pytest.raises(UnusedParameterError):
        train_toy(idle, tmp_path, toy_settings(dry_run=True))
    with pytest.raises(TrainingSettingsError, match="best_by"):
        train_toy(
            ToyStep(), tmp_path, toy_settings(dry_run=True, best_by="x"), validate=lambda: Validation({"psnr": 1.0})
        )


def test_a_training_of_no_steps_can_be_tried_out(tmp_path: Path) -> None:
    train_toy(ToyStep(), tmp_path, toy_settings(dry_run=True, steps=0))
    assert json.loads((tmp_path / "dry_run_toy.json").read_text())["seconds_per_step"] == 0
