"""Early stopping: a training ends once its validations bring no gain, the same whether it was interrupted or not."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from toy_training import ToyStep, toy_settings, train_toy
from two_processes import on_two_processes

from retina_adapt.training import ScoredStep, TrackingSettings, TrainingSettingsError, Validation, start_run
from retina_adapt.training.run_record import read_run
from retina_adapt.training.validation_history import validations_without_gain

# By the step that was validated: with patience for two, the training ends after step 8.
SCORES = {2: 1.0, 4: 5.0, 6: 4.0, 8: 5.0, 10: 6.0, 12: 7.0}


def run(
    folder: Path,
    *,
    scores: dict[int, float] = SCORES,
    batches: int | None = None,
    **changes: object,
) -> tuple[Validation | None, dict[str, torch.Tensor]]:
    """A training of 12 steps with a validation after every second one; its validation and its tensors."""
    settings = toy_settings(**({"validate_every": 2, "patience": 2} | changes))

    def validate() -> Validation:
        # A checkpoint is written before the validation of its step.
        newest = max(path.name for path in (folder / "checkpoints" / "toy").glob("step-*"))
        return Validation({"score": scores[int(newest.removeprefix("step-"))]})

    step = ToyStep()
    validation = train_toy(step, folder, settings, validate=validate, batches=batches)
    return validation, {name: tensor.detach().clone() for name, tensor in step.named_parameters()}


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_ends_when_patience_does_and_says_so(tmp_path: Path) -> None:
    start_run(Accelerator(cpu=True), toy_settings(), tmp_path, TrackingSettings())
    validation, _ = run(tmp_path)
    assert (validation.step, validation.scores) == (8, {"score": 5.0})
    progress = read_run(tmp_path)["trainings"]["toy"]
    assert (progress["status"], progress["step"], progress["steps"]) == ("finished early", 8, 12)


@pytest.mark.parametrize("batches", [3, 5, 7])
def test_an_interrupted_run_ends_after_the_same_step_with_the_same_bits(batches: int, tmp_path: Path) -> None:
    _, whole = run(tmp_path / "whole")
    assert run(tmp_path / "parts", batches=batches)[0] is None
    validation, parts = run(tmp_path / "parts")
    assert validation.step == 8
    assert same_bits(parts, whole)


def test_a_run_that_has_ended_early_is_not_trained_further(tmp_path: Path) -> None:
    _, ended = run(tmp_path)
    # Its next batch would be a power cut.
    validation, again = run(tmp_path, batches=8)
    assert validation.step == 8
    assert same_bits(again, ended)
    assert run(tmp_path, patience=3)[0].step == 12


def test_the_best_result_is_the_one_from_before_patience_began(tmp_path: Path) -> None:
    falling = SCORES | {8: 3.0}
    validation, best = run(tmp_path, scores=falling, result="best", checkpoints_kept=1)
    assert validation.step == 4
    _, last = run(tmp_path, scores=falling, result="last", checkpoints_kept=1)
    assert not same_bits(best, last)
    assert same_bits(run(tmp_path, scores=falling, result="best", checkpoints_kept=1)[1], best)


def test_processes_whose_scores_differ_end_together(tmp_path: Path) -> None:
    def check(accelerator: Accelerator) -> None:
        visits = iter(range(100))

        def validate() -> Validation:
            visit = next(visits)
            return Validation({"score": 1.0 if accelerator.is_main_process else float(visit)})

        settings = toy_settings(validate_every=2, patience=2)
        validation = train_toy(ToyStep(), tmp_path, settings, accelerator=accelerator, validate=validate)
        assert validation.step == 6

    on_two_processes(check, tmp_path)


@pytest.mark.parametrize(
    ("scores", "best_by", "least_improvement", "waited"),
    [
        ([], "", 0.0, 0),
        ([1, 2, 3], "", 0.0, 0),
        ([3, 2, 1], "", 0.0, 2),
        ([3, 2, 1], "-psnr", 0.0, 0),
        ([1, 1, 1], "psnr", 0.0, 2),
        # Small gains add up: 1.6 is the first that is 0.5 above 1.
        ([1.0, 1.2, 1.4, 1.6, 1.8], "", 0.5, 1),
        ([float("nan"), float("nan")], "", 0.0, 2),
        ([float("nan"), 1, float("nan")], "", 0.0, 1),
    ],
)
def test_what_counts_as_a_gain(scores: list[float], best_by: str, least_improvement: float, waited: int) -> None:
    history = [ScoredStep(step, {"psnr": score}) for step, score in enumerate(scores)]
    assert validations_without_gain(history, best_by, least_improvement) == waited


def test_patience_without_a_score_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingSettingsError, match=r"patience is 2.*no score"):
        train_toy(ToyStep(), tmp_path, toy_settings(patience=2, validate_every=3), validate=lambda: Validation({}))


def test_an_observer_sees_all_validations_also_those_from_before_an_interruption(tmp_path: Path) -> None:
    seen: list[list[int]] = []

    class EndOfInterestError(Exception):
        pass

    def observe(validations: Sequence[ScoredStep]) -> None:
        seen.append([validated.step for validated in validations])
        if len(seen) == 4:
            raise EndOfInterestError

    def train_observed(batches: int | None = None) -> None:
        train_toy(ToyStep(), tmp_path, toy_settings(validate_every=3), batches=batches, observe_validations=observe)

    start_run(Accelerator(cpu=True), toy_settings(), tmp_path, TrackingSettings())
    train_observed(batches=7)
    assert seen == [[3], [3, 6]]
    with pytest.raises(EndOfInterestError):
        train_observed()
    assert seen == [[3], [3, 6], [3, 6], [3, 6, 9]]
    assert read_run(tmp_path)["trainings"]["toy"]["status"] == "stopped"
