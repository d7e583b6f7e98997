"""Two processes over gloo: what they train, log, gather and refuse."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator, debug_launcher
from accelerate.state import AcceleratorState, GradientState
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from toy_training import ToyStep, toy_settings, train_toy

from retina_adapt.training import TrainingDivergedError, UnusedParameterError, Validation, mean_scores, start_run


def on_two_processes(function: Callable[[Accelerator], None], folder: Path) -> None:
    """Run `function` on each of two forked processes; an error of either is raised here."""

    def start() -> None:
        # A fork inherits what earlier tests have set up for one process.
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=folder)
        assert accelerator.num_processes == 2
        function(accelerator)

    debug_launcher(start, num_processes=2)


def logged(folder: Path) -> dict[str, list[float]]:
    """Every scalar that TensorBoard shows, by tag, from the only event file below `folder`."""
    (path,) = folder.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(path)).Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def logged_training(accelerator: Accelerator, folder: Path, *, batch_size: int, accumulation: int = 1) -> None:
    settings = toy_settings(batch_size=batch_size, gradient_accumulation=accumulation, log_every=1)
    start_run(accelerator, settings, folder)
    train_toy(ToyStep(), folder, settings, accelerator=accelerator)
    accelerator.end_training()


@pytest.mark.parametrize("accumulation", [1, 2])
def test_they_log_the_losses_of_one_process_with_all_of_the_batch(accumulation: int, tmp_path: Path) -> None:
    one = Accelerator(cpu=True, log_with="tensorboard", project_dir=tmp_path / "one")
    logged_training(one, tmp_path / "one", batch_size=4 * accumulation)
    on_two_processes(
        lambda two: logged_training(two, tmp_path / "two", batch_size=2, accumulation=accumulation), tmp_path / "two"
    )
    expected, found = logged(tmp_path / "one"), logged(tmp_path / "two")
    assert len(expected["toy/loss"]) == 12
    for tag in ("toy/loss", "toy/gradient_norm", "toy/learning_rate"):
        # Summing gradients in another order costs the last bits.
        assert found[tag] == pytest.approx(expected[tag], rel=1e-4)


def test_a_resumed_run_gives_the_same_bits(tmp_path: Path) -> None:
    def compare(accelerator: Accelerator) -> None:
        whole, cut, resumed = ToyStep(), ToyStep(), ToyStep()
        for step, folder, batches in ((whole, "whole", None), (cut, "parts", 7), (resumed, "parts", None)):
            train_toy(step, tmp_path / folder, toy_settings(), batches=batches, accelerator=accelerator)
        for (name, tensor), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
            assert torch.equal(tensor, other), name

    on_two_processes(compare, tmp_path)


def test_scores_are_means_over_all_items_though_one_process_has_more(tmp_path: Path) -> None:
    def validate(accelerator: Accelerator) -> Validation:
        scores = [{"psnr": 10.0}, {"psnr": 20.0}] if accelerator.is_main_process else [{"psnr": 60.0}]
        return Validation(mean_scores(accelerator, scores))

    def check(accelerator: Accelerator) -> None:
        validation = train_toy(
            ToyStep(), tmp_path, toy_settings(), accelerator=accelerator, validate=lambda: validate(accelerator)
        )
        assert validation.scores == {"psnr": 30.0}

    on_two_processes(check, tmp_path)


class DivergingOnOne(ToyStep):
    """A loss that is not a number on the second process alone."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__(scale=1.0 if accelerator.is_main_process else float("nan"))


class HalfUsed(ToyStep):
    """A network with a layer that the loss does not depend on."""

    def __init__(self, _: Accelerator) -> None:
        super().__init__()
        self.idle = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("step_class", "error"), [(DivergingOnOne, TrainingDivergedError), (HalfUsed, UnusedParameterError)]
)
def test_both_processes_end_with_the_same_error(
    step_class: type[ToyStep], error: type[Exception], tmp_path: Path
) -> None:
    def check(accelerator: Accelerator) -> None:
        with pytest.raises(error):
            train_toy(step_class(accelerator), tmp_path, toy_settings(), accelerator=accelerator)

    on_two_processes(check, tmp_path)
