"""Divergence that is still finite ends the run, and a checkpoint from before it remains."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toy_training import ToyStep, toy_settings, train_toy

from retina_adapt.training import TrainingDivergedError, Validation
from retina_adapt.training.divergence import DivergenceWatch


def watch_after(*losses: float) -> DivergenceWatch:
    watch = DivergenceWatch()
    for loss in losses:
        watch.observe(loss)
    return watch


def test_the_smoothed_loss_is_a_mean_of_fifty_and_then_an_exponential_average() -> None:
    watch = watch_after(*range(1, 51))
    assert watch.smoothed == watch.lowest == pytest.approx(25.5)
    watch.observe(75.5)
    assert watch.smoothed == pytest.approx(26.5)
    assert watch.lowest == pytest.approx(25.5)


@pytest.mark.parametrize(("loss", "calm", "diverged"), [(2.9, True, False), (3.1, False, False), (600.0, False, True)])
def test_a_step_above_three_times_the_lowest_is_not_calm_and_a_mean_above_ten_times_has_diverged(
    loss: float, calm: bool, diverged: bool
) -> None:
    watch = watch_after(*[1.0] * 50, loss)
    assert (watch.is_calm, watch.has_diverged) == (calm, diverged)


def test_a_lasting_rise_is_not_calm_though_one_step_is_low() -> None:
    assert not watch_after(*[1.0] * 50, *[5.0] * 60, 0.5).is_calm


@given(st.lists(st.floats(1.0, 1e6), max_size=49))
def test_the_first_losses_are_not_judged(losses: list[float]) -> None:
    watch = watch_after(*losses)
    assert watch.is_calm
    assert not watch.has_diverged


@given(st.lists(st.floats(1.0, 2.9), min_size=50, max_size=200))
def test_a_loss_that_only_scatters_is_calm(losses: list[float]) -> None:
    watch = DivergenceWatch()
    for loss in losses:
        watch.observe(loss)
        assert watch.is_calm
        assert not watch.has_diverged


@given(st.lists(st.floats(-10, 1e6), max_size=150), st.sampled_from([0.0, -1.0]))
def test_a_loss_that_need_not_be_positive_is_not_judged(losses: list[float], first: float) -> None:
    watch = watch_after(first, *losses)
    assert watch.is_calm
    assert not watch.has_diverged


@given(st.lists(st.floats(-1, 1e6), max_size=120))
def test_what_it_knows_is_the_same_after_a_checkpoint(losses: list[float]) -> None:
    watch = watch_after(*losses)
    assert DivergenceWatch(**json.loads(json.dumps(dataclasses.asdict(watch)))) == watch


class Rising(ToyStep):
    """Its loss, as far as it is watched, is 1, and from some step on a greater one."""

    def __init__(self, first: int, loss: float) -> None:
        super().__init__()
        self.first, self.loss = first, loss

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        losses = super().forward(batch)
        watched = self.loss if batch["step"] >= self.first else 1.0
        return {**losses, "watched": losses["loss"].detach() * 0 + watched}


def run(step: ToyStep, folder: Path, *, batches: int | None = None, **changes: object) -> None:
    settings = toy_settings(**({"steps": 200, "warmup_steps": 5, "checkpoint_every": 10} | changes))
    train_toy(step, folder, settings, watched_loss="watched", batches=batches)


def checkpoints(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints" / "toy").iterdir())


def test_a_rise_ends_the_run_and_names_the_last_checkpoint_before_it(tmp_path: Path) -> None:
    # Smoothed over 50 steps, 20 exceeds 10 after 32 steps, in which three checkpoints would have been due.
    with pytest.raises(TrainingDivergedError, match=r"step 96 .*'watched' is 10\.\d+,.*resumes from .*step-00000060"):
        run(Rising(first=64, loss=20.0), tmp_path)
    assert checkpoints(tmp_path) == [50, 60]


def test_a_rise_that_passes_delays_the_checkpoint_that_was_due(tmp_path: Path) -> None:
    class RisingForAStep(Rising):
        def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            self.loss = 3.5 if batch["step"] == 69 else 1.0
            return super().forward(batch)

    run(RisingForAStep(first=69, loss=3.5), tmp_path, batches=75)
    assert checkpoints(tmp_path) == [60, 71]


def test_a_rise_that_passes_delays_the_validation_too_so_that_the_best_one_has_its_checkpoint(tmp_path: Path) -> None:
    class RisingForAStep(Rising):
        def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            self.loss = 4.0 if batch["step"] == 79 else 1.0
            return super().forward(batch)

    validated: list[int] = []
    settings = toy_settings(steps=120, warmup_steps=5, validate_every=20, checkpoint_every=20, result="best")
    result = train_toy(
        RisingForAStep(first=79, loss=4.0),
        tmp_path,
        settings,
        validate=lambda: Validation({"psnr": 30.0 if len(validated) == 3 else 20.0}),
        observe_validations=lambda validations: validated.append(validations[-1].step),
        watched_loss="watched",
    )
    assert validated == [20, 40, 60, 81, 100, 120]
    assert 81 in checkpoints(tmp_path)
    assert result.step == 81


def test_a_loss_that_is_another_one_from_a_step_on_is_watched_anew(tmp_path: Path) -> None:
    settings = toy_settings(steps=200, warmup_steps=5, checkpoint_every=50, checkpoints_kept=9)
    train_toy(Rising(first=64, loss=20.0), tmp_path, settings, watched_loss="watched", phase_starts={64})
    assert checkpoints(tmp_path) == [50, 100, 150, 200]


def test_the_last_step_is_kept_whatever_its_loss(tmp_path: Path) -> None:
    run(Rising(first=64, loss=5.0), tmp_path, steps=90)
    assert checkpoints(tmp_path) == [60, 90]


def test_losses_of_the_warm_up_do_not_count(tmp_path: Path) -> None:
    class LowAtFirst(Rising):
        def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            losses = super().forward(batch)
            return losses if batch["step"] >= 60 else {**losses, "watched": losses["watched"] * 1e-3}

    run(LowAtFirst(first=200, loss=1.0), tmp_path, steps=120, warmup_steps=60)
    assert checkpoints(tmp_path) == [110, 120]


def test_a_resumed_run_remembers_the_lowest_loss(tmp_path: Path) -> None:
    step = Rising(first=64, loss=20.0)
    run(step, tmp_path, batches=62)
    with pytest.raises(TrainingDivergedError, match="step 96 "):
        run(step, tmp_path)
