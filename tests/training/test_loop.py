"""The loop: what it optimises, refuses, logs and stores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from toy_training import PowerCut, ToyStep, toy_settings, train_toy, trained

from retina_adapt.training import (
    BatchesEndedError,
    NothingToTrainError,
    TrackingSettings,
    TrainingDivergedError,
    TrainingSettings,
    UnusedParameterError,
    Validation,
    start_run,
    train,
)


def test_accumulating_gradients_equals_a_larger_batch(tmp_path: Path) -> None:
    large = trained(tmp_path / "large", batch_size=4)
    small = trained(tmp_path / "small", batch_size=2, gradient_accumulation=2)
    for name in large:
        torch.testing.assert_close(small[name], large[name], rtol=1e-4, atol=1e-6)


def test_each_training_of_an_accelerator_accumulates_as_its_own_settings_say(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=3)
    train_toy(ToyStep(), tmp_path / "cut", toy_settings(gradient_accumulation=3), batches=4, accelerator=accelerator)
    step = ToyStep()
    train_toy(step, tmp_path / "second", toy_settings(gradient_accumulation=2), accelerator=accelerator)
    alone = trained(tmp_path / "alone", gradient_accumulation=2)
    assert all(torch.equal(tensor, alone[name]) for name, tensor in step.named_parameters())


def test_frozen_tensors_stay_and_trainable_ones_move(tmp_path: Path) -> None:
    before, after = dict(ToyStep().named_parameters()), trained(tmp_path)
    assert {name for name in before if torch.equal(before[name], after[name])} == {"frozen"}


def test_a_step_without_trainable_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToTrainError, match="toy"):
        train_toy(ToyStep().requires_grad_(False), tmp_path, toy_settings())


def test_a_trainable_parameter_that_the_loss_ignores_is_refused_by_name(tmp_path: Path) -> None:
    step = ToyStep()
    step.idle = nn.Linear(2, 2)
    with pytest.raises(UnusedParameterError, match=r"2 of the parameters.*idle\.weight"):
        train_toy(step, tmp_path, toy_settings())


def test_a_trainable_parameter_that_the_optimizer_lacks_is_refused_by_name(tmp_path: Path) -> None:
    def of_matrices(parameters: list[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
        return torch.optim.SGD([parameter for parameter in parameters if parameter.ndim == 2], settings.learning_rate)

    with pytest.raises(UnusedParameterError, match=r"does not hold 2 of the parameters.*layers\.0\.bias"):
        train_toy(ToyStep(), tmp_path, toy_settings(), make_optimizer=of_matrices)


def test_batches_that_end_before_the_training_are_told(tmp_path: Path) -> None:
    with pytest.raises(BatchesEndedError, match=r"no batch for step 3; `batches_from` must go on"):
        train(
            ToyStep(),
            name="toy",
            accelerator=Accelerator(cpu=True),
            settings=toy_settings(),
            batches_from=lambda first: [{"x": torch.zeros(4, 3), "index": torch.arange(4)}] * 2,
            validate=lambda: Validation({}),
            output_folder=tmp_path,
        )


def test_an_optimizer_of_ones_own_keeps_the_rates_of_its_groups(tmp_path: Path) -> None:
    rates: list[tuple[float, ...]] = []

    class Watched(torch.optim.SGD):
        """Has no state for a parameter."""

        def step(self, closure: object = None) -> None:
            rates.append(tuple(group["lr"] for group in self.param_groups))
            super().step(closure)

    def make(parameters: list[nn.Parameter], settings: TrainingSettings) -> Watched:
        first, *others = parameters
        groups = [{"params": others}, {"params": [first], "lr": settings.learning_rate / 10}]
        return Watched(groups, lr=settings.learning_rate)

    step = ToyStep()
    before = step.layers[0].weight.detach().clone()
    train_toy(step, tmp_path, toy_settings(learning_rate=0.05, warmup_steps=2), make_optimizer=make)
    assert not torch.equal(step.layers[0].weight, before)
    assert len(rates) == 12
    assert max(rates) == (pytest.approx(0.05), pytest.approx(0.005))
    for of_others, of_first in rates:
        assert of_first == pytest.approx(of_others / 10)


def test_an_optimizer_that_holds_what_it_must_not_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    def inspect(optimizer: torch.optim.Optimizer) -> None:
        assert {id(p) for p in optimizer.param_groups[0]["params"]} == {id(p) for p in step.layers.parameters()}
        raise PowerCut

    step = ToyStep()
    with pytest.raises(PowerCut):
        train(
            step,
            name="toy",
            accelerator=Accelerator(cpu=True),
            settings=toy_settings(),
            batches_from=lambda first: iter([]),
            validate=lambda: Validation({}),
            output_folder=tmp_path,
            inspect_optimizer=inspect,
        )


def test_batches_carry_the_number_of_steps_done_also_after_a_resume(tmp_path: Path) -> None:
    class Recording(ToyStep):
        def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            assert batch["step"].shape == ()
            assert batch["step"].dtype == torch.int64
            seen.append(int(batch["step"]))
            return super().forward(batch)

    seen: list[int] = []
    settings = toy_settings(steps=4, checkpoint_every=2, gradient_accumulation=2)
    train_toy(Recording(), tmp_path, settings, batches=5)
    assert seen == [0, 0, 1, 1, 2]
    seen.clear()
    train_toy(Recording(), tmp_path, settings)
    assert seen == [2, 2, 3, 3]


class DivergingLater(ToyStep):
    """From the given step on, the loss is finite but its gradient is not."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first
        self.calls = 0

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        losses = super().forward(batch)
        self.calls += 1
        if self.calls >= self.first:
            zero = losses["loss"] - losses["loss"]
            losses["loss"] = losses["loss"] + zero.sqrt()
        return losses


def test_a_run_that_diverges_names_the_step_and_stores_no_checkpoint_after_it(tmp_path: Path) -> None:
    settings = toy_settings(checkpoint_every=1, log_every=10)
    with pytest.raises(TrainingDivergedError, match=r"step 4 .*learning_rate.*step-00000003"):
        train_toy(DivergingLater(first=4), tmp_path, settings)
    newest = max((tmp_path / "checkpoints" / "toy").iterdir())
    assert newest.name == "step-00000003"
    assert all(tensor.isfinite().all() for tensor in trained(tmp_path).values())


def test_scores_may_be_numbers_of_numpy_and_pytorch(tmp_path: Path) -> None:
    found = Validation({"of_numpy": np.float32(0.5), "of_pytorch": torch.tensor(2.0)})
    validation = train_toy(ToyStep(), tmp_path, toy_settings(best_by="of_pytorch"), validate=lambda: found)
    assert validation.scores == {"of_numpy": 0.5, "of_pytorch": 2.0}
    again = train_toy(ToyStep(), tmp_path, toy_settings(result="best"), validate=lambda: found)
    assert again.scores == validation.scores


def test_validation_runs_in_evaluation_mode_without_gradients_at_the_steps_asked_for(tmp_path: Path) -> None:
    step, seen = ToyStep(), []

    def validate() -> Validation:
        seen.append((step.training, torch.is_grad_enabled()))
        return Validation({"visits": float(len(seen))})

    validation = train_toy(step, tmp_path, toy_settings(validate_every=5), validate=validate)
    assert seen == [(False, False)] * 3
    assert validation.scores == {"visits": 3.0}


@pytest.fixture
def tracked_run(tmp_path: Path) -> Path:
    settings = toy_settings(log_every=1, validate_every=6)
    accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=tmp_path)
    start_run(accelerator, settings, tmp_path, TrackingSettings())
    picture = np.zeros((4, 6, 3), np.uint8)
    train_toy(
        ToyStep(),
        tmp_path,
        settings,
        accelerator=accelerator,
        validate=lambda: Validation({"psnr": 30.0}, {"sheet": picture}),
    )
    accelerator.end_training()
    return tmp_path


def test_tensorboard_shows_losses_learning_rate_scores_and_pictures(tracked_run: Path) -> None:
    (path,) = tracked_run.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(path)).Reload()
    assert set(events.Tags()["scalars"]) >= {
        "toy/loss",
        "toy/gradient_norm",
        "toy/learning_rate",
        "toy/seconds_per_step",
        "toy/validation/psnr",
    }
    assert [event.step for event in events.Scalars("toy/loss")] == list(range(1, 13))
    assert [event.step for event in events.Scalars("toy/validation/psnr")] == [6, 12]
    rates = [event.value for event in events.Scalars("toy/learning_rate")]
    assert rates[:2] == pytest.approx([0.025, 0.05])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert [(image.height, image.width) for image in events.Images("toy/sheet")] == [(4, 6)] * 2


def test_tensorboard_shows_hyperparameters_and_a_histogram_of_the_trained_tensors_norms(tracked_run: Path) -> None:
    (path,) = tracked_run.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(path), size_guidance={"histograms": 0}).Reload()
    (session,) = [tag for tag in events.summary_metadata if tag == "_hparams_/session_start_info"]
    assert b"batch_size" in events.summary_metadata[session].plugin_data.content
    histograms = events.Histograms("toy/parameter_norms")
    assert [histogram.step for histogram in histograms] == [6, 12]
    # Two layers, each with a weight and a bias.
    assert [histogram.histogram_value.num for histogram in histograms] == [4, 4]
