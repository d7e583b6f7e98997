"""Which checkpoints are kept, which is the best, and what a training ends with."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from accelerate import Accelerator
from toy_training import ToyStep, toy_settings, train_toy, trained

from retina_adapt.training import CheckpointError, TrackingSettings, TrainingSettingsError, Validation, start_run
from retina_adapt.training.run_record import read_run


def run(folder: Path, scores: list[float], **changes: object) -> Validation:
    """A training of 12 steps that validates every third with the given scores, one after the other."""
    remaining = iter(scores)
    settings = toy_settings(**({"validate_every": 3, "checkpoints_kept": 1} | changes))
    return train_toy(ToyStep(), folder, settings, validate=lambda: Validation({"psnr": next(remaining), "loss": 0.0}))


def kept(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints" / "toy").iterdir())


@pytest.mark.parametrize(
    ("scores", "best_by", "expected"),
    [
        ([1, 3, 2, 2], "", [6, 12]),
        ([1, 3, 2, 2], "-psnr", [3, 12]),
        ([1, 2, 3, 4], "psnr", [12]),
        ([1, 4, 4, 3], "psnr", [9, 12]),
        ([float("nan"), 2, 1, float("nan")], "-psnr", [9, 12]),
    ],
)
def test_the_best_checkpoint_is_kept_beside_the_newest(
    scores: list[float], best_by: str, expected: list[int], tmp_path: Path
) -> None:
    run(tmp_path, scores, best_by=best_by)
    assert kept(tmp_path) == expected


def test_the_best_one_so_far_survives_a_resume(tmp_path: Path) -> None:
    run(tmp_path, [9, 3], steps=6)
    run(tmp_path, [4, 5])
    assert kept(tmp_path) == [3, 12]


def test_the_result_may_be_the_best_checkpoint(tmp_path: Path) -> None:
    def result(folder: Path, **changes: object) -> dict[str, torch.Tensor]:
        scores = iter([1.0, 9.0, 2.0, 2.0, 9.0])
        step = ToyStep()
        validation = train_toy(
            step,
            folder,
            toy_settings(validate_every=3, moving_average_decay=0.5, **changes),
            validate=lambda: Validation({"psnr": next(scores)}),
        )
        assert validation.scores == {"psnr": 9.0 if changes["result"] == "best" else 2.0}
        return {name: tensor.detach().clone() for name, tensor in step.named_parameters()}

    best, last = result(tmp_path / "best", result="best"), result(tmp_path / "last", result="last")
    stored = safetensors.torch.load_file(
        tmp_path / "best" / "checkpoints" / "toy" / "step-00000006" / "training_state.safetensors"
    )
    assert any(not torch.equal(best[name], last[name]) for name in best)
    for name in best.keys() - {"frozen"}:
        assert torch.equal(best[name], stored[f"average.{name}"])


def test_the_record_says_that_all_steps_were_done_though_the_result_is_an_earlier_one(tmp_path: Path) -> None:
    start_run(Accelerator(cpu=True, log_with=[]), toy_settings(), tmp_path, TrackingSettings())
    run(tmp_path, [1, 9, 2, 2, 9], result="best")
    progress = read_run(tmp_path)["trainings"]["toy"]
    assert (progress["status"], progress["step"], progress["scores"]["psnr"]) == ("finished", 12, 9)


def test_a_best_by_that_is_no_score_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(TrainingSettingsError, match=r"'pnsr'.*psnr, loss; did you mean 'psnr'"):
        run(tmp_path, [1, 2, 3, 4], best_by="pnsr")


def test_a_best_by_mistyped_on_resuming_is_the_same_error(tmp_path: Path) -> None:
    run(tmp_path, [1, 2, 3, 4])
    with pytest.raises(TrainingSettingsError, match=r"'pnsr'.*did you mean 'psnr'"):
        run(tmp_path, [5], best_by="pnsr")


def test_a_run_that_must_not_resume_refuses_to_and_names_what_it_found(tmp_path: Path) -> None:
    trained(tmp_path, batches=7)
    with pytest.raises(CheckpointError, match=r"step-00000005.*'never'"):
        trained(tmp_path, resume="never")
    trained(tmp_path / "new", resume="never")


def test_a_run_that_must_resume_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no checkpoint.*'always'.*output_folder"):
        trained(tmp_path, resume="always")
    trained(tmp_path, batches=7)
    trained(tmp_path, resume="always")


def test_a_run_of_several_trainings_goes_on_before_the_first_checkpoint_of_the_next(tmp_path: Path) -> None:
    trained(tmp_path)
    (tmp_path / "checkpoints" / "toy").rename(tmp_path / "checkpoints" / "the training before")
    trained(tmp_path, resume="always")


def test_a_run_that_was_trained_for_more_steps_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    with pytest.raises(CheckpointError, match="trained for 12 steps, and steps is 6"):
        trained(tmp_path, steps=6)
