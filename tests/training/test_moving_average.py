"""The moving average: its formula, and when the module holds it."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from toy_training import PowerCut, ToyStep, toy_settings, train_toy, trained

from retina_adapt.training import Validation
from retina_adapt.training.moving_average import MovingAverage


def weights(step: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in step.named_parameters()}


def parameters_then(folder: Path, step: int) -> dict[str, Tensor]:
    """The trained parameters and their averages after the given step, by their names in the checkpoint."""
    return safetensors.torch.load_file(
        folder / "checkpoints" / "toy" / f"step-{step:08d}" / "training_state.safetensors"
    )


def test_it_follows_the_formula_with_a_decay_that_grows_to_the_stated_one() -> None:
    parameter = nn.Parameter(torch.tensor([1.0]))
    average, expected = MovingAverage({"p": parameter}, decay=0.3), 1.0
    for step, (value, decay) in enumerate([(5.0, 2 / 11), (-2.0, 3 / 12), (4.0, 0.3), (0.0, 0.3)], start=1):
        with torch.no_grad():
            parameter.fill_(value)
        average.update(step)
        expected = decay * expected + (1 - decay) * value
        torch.testing.assert_close(average.tensors["p"], torch.tensor([expected]))


def test_it_keeps_in_full_precision_what_bfloat16_would_round_away() -> None:
    parameter = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    average = MovingAverage({"p": parameter}, decay=0.999)
    with torch.no_grad():
        parameter.fill_(1.0078125)
    for step in range(10_000, 10_010):
        average.update(step)
    assert average.tensors["p"].dtype == torch.float32
    assert 1.00007 < average.tensors["p"].item() < 1.00008


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_result_is_the_average_of_what_was_trained_without_one(decay: float, tmp_path: Path) -> None:
    trained(tmp_path / "plain", checkpoint_every=1, checkpoints_kept=12)
    expected = weights(ToyStep())
    for step in range(1, 13):
        now = parameters_then(tmp_path / "plain", step)
        share = 1 - min(decay, (1 + step) / (10 + step))
        for name in expected.keys() - {"frozen"}:
            expected[name] += share * (now[f"parameter.{name}"] - expected[name])
    for name, tensor in trained(tmp_path / "averaged", moving_average_decay=decay).items():
        torch.testing.assert_close(tensor, expected[name])


def test_averaged_weights_are_validated_and_training_goes_on_from_the_others(tmp_path: Path) -> None:
    step, validated = ToyStep(), []
    settings = toy_settings(validate_every=5, moving_average_decay=0.9)

    def validate() -> Validation:
        validated.append(weights(step))
        return Validation({})

    train_toy(step, tmp_path, settings, validate=validate)
    trained(tmp_path / "plain")
    for done, seen in zip((10, 12), validated[1:], strict=True):
        averaged, plain = parameters_then(tmp_path, done), parameters_then(tmp_path / "plain", done)
        for name in seen.keys() - {"frozen"}:
            assert torch.equal(seen[name], averaged[f"average.{name}"])
            assert torch.equal(averaged[f"parameter.{name}"], plain[f"parameter.{name}"])
    assert all(torch.equal(tensor, validated[-1][name]) for name, tensor in step.named_parameters())


def test_a_validation_that_fails_leaves_the_trained_weights_in_the_module(tmp_path: Path) -> None:
    step = ToyStep()

    def validate() -> Validation:
        raise PowerCut

    train_toy(step, tmp_path, toy_settings(validate_every=5, moving_average_decay=0.9), validate=validate)
    found = parameters_then(tmp_path, 5)
    for name, tensor in step.layers.named_parameters():
        assert torch.equal(tensor, found[f"parameter.layers.{name}"])
        assert not torch.equal(tensor, found[f"average.layers.{name}"])


def test_frozen_tensors_are_not_averaged(tmp_path: Path) -> None:
    trained(tmp_path, moving_average_decay=0.9)
    assert not any("frozen" in name for name in parameters_then(tmp_path, 12))
