"""Contracts 7 and 10: training in one go equals training, stopping or dying, and resuming."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from toy_training import ToyStep, toy_settings, train_toy, trained

from retina_adapt.training import CheckpointError, Validation
from retina_adapt.training.checkpoint import StoredState, TrainingState, restore
from retina_adapt.training.divergence import DivergenceWatch


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("stop", [1, 5, 7, 11])
def test_a_resumed_run_gives_the_same_bits(stop: int, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    assert not same_bits(trained(tmp_path / "parts", batches=stop), whole)
    assert same_bits(trained(tmp_path / "parts"), whole)


@pytest.mark.parametrize("stop", [3, 7, 11])
def test_a_resumed_run_with_a_moving_average_gives_the_same_bits(stop: int, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", moving_average_decay=0.9)
    trained(tmp_path / "parts", moving_average_decay=0.9, batches=stop)
    assert same_bits(trained(tmp_path / "parts", moving_average_decay=0.9), whole)
    assert not same_bits(trained(tmp_path / "without"), whole)


def test_a_run_stopped_amid_accumulated_gradients_resumes_to_the_same_bits(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", gradient_accumulation=3)
    trained(tmp_path / "parts", gradient_accumulation=3, batches=6 * 3 + 1)
    assert same_bits(trained(tmp_path / "parts", gradient_accumulation=3), whole)


def test_a_resumed_run_in_bf16_gives_the_same_bits(tmp_path: Path) -> None:
    def run(folder: Path, batches: int | None = None) -> dict[str, Tensor]:
        AcceleratorState._reset_state(reset_partial_state=True)
        accelerator, step = Accelerator(cpu=True, mixed_precision="bf16"), ToyStep()
        train_toy(step, folder, toy_settings(), batches=batches, accelerator=accelerator)
        return {name: tensor.detach().clone() for name, tensor in step.named_parameters()}

    whole = run(tmp_path / "whole")
    run(tmp_path / "parts", batches=7)
    assert same_bits(run(tmp_path / "parts"), whole)
    AcceleratorState._reset_state(reset_partial_state=True)
    assert not same_bits(trained(tmp_path / "float32"), whole)


def test_a_finished_run_is_validated_and_not_trained_again(tmp_path: Path) -> None:
    whole = trained(tmp_path)
    step = ToyStep()
    validation = train_toy(step, tmp_path, toy_settings(), batches=12)
    assert validation.scores == {"score": 1.0}
    assert same_bits(dict(step.named_parameters()), whole)


def test_a_finished_run_with_a_moving_average_gives_the_averages_again(tmp_path: Path) -> None:
    whole = trained(tmp_path, moving_average_decay=0.9)
    assert same_bits(trained(tmp_path, moving_average_decay=0.9, batches=12), whole)


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    trained(tmp_path, checkpoint_every=2, checkpoints_kept=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints" / "toy").iterdir()) == [
        "step-00000010",
        "step-00000012",
    ]


def test_checkpoints_hold_no_pickle_and_no_frozen_tensor(tmp_path: Path) -> None:
    trained(tmp_path)
    files = [path for path in (tmp_path / "checkpoints" / "toy").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    assert all(b"frozen" not in path.read_bytes() for path in files)


def test_a_half_written_checkpoint_is_not_taken_for_one(tmp_path: Path) -> None:
    trained(tmp_path / "parts", batches=7)
    leftover = tmp_path / "parts" / "checkpoints" / "toy" / ".step-00000010.k2j3"
    leftover.mkdir()
    (leftover / "training_state.safetensors").write_bytes(b"half")
    assert same_bits(trained(tmp_path / "parts"), trained(tmp_path / "whole"))


@pytest.mark.parametrize(
    "change",
    [
        lambda checkpoint: (checkpoint / "training_state.safetensors").write_bytes(b"torn"),
        lambda checkpoint: (checkpoint / "training_state.json").write_text("{}"),
        lambda checkpoint: (checkpoint / "training_state.json").write_text("[5]"),
        lambda checkpoint: (checkpoint / "training_state.json").unlink(),
    ],
)
def test_a_damaged_checkpoint_is_an_error_that_names_it(change: Callable[[Path], None], tmp_path: Path) -> None:
    trained(tmp_path, batches=7)
    change(tmp_path / "checkpoints" / "toy" / "step-00000005")
    with pytest.raises(CheckpointError, match="step-00000005"):
        trained(tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, batches=7)
    other = ToyStep()
    other.layers[0] = nn.Linear(3, 9)
    with pytest.raises(CheckpointError, match=r"another configuration.*layers\.0"):
        train_toy(other, tmp_path, toy_settings())


@pytest.mark.parametrize("batches", [7, None])
def test_a_checkpoint_that_was_trained_on_other_frozen_networks_is_refused(batches: int | None, tmp_path: Path) -> None:
    train_toy(ToyStep(), tmp_path, toy_settings(), batches=batches, built_on="one")
    step, untouched = ToyStep(), dict(ToyStep().named_parameters())
    with pytest.raises(CheckpointError, match=r"trained on other frozen networks.*delete .*toy to do this training"):
        train_toy(step, tmp_path, toy_settings(), built_on="another")
    assert same_bits(dict(step.named_parameters()), untouched)
    assert train_toy(step, tmp_path, toy_settings(), built_on="one") is not None


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.0), (0.0, 0.9)])
def test_a_moving_average_cannot_be_begun_or_ended_amid_a_run(before: float, after: float, tmp_path: Path) -> None:
    trained(tmp_path, batches=7, moving_average_decay=before)
    with pytest.raises(CheckpointError, match=r"another configuration.*average\.layers\.0"):
        trained(tmp_path, moving_average_decay=after)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not list a process's files")
def test_a_resumed_run_holds_on_to_no_file_of_its_checkpoint(tmp_path: Path) -> None:
    trained(tmp_path, batches=7)
    step = ToyStep()

    def validate() -> Validation:
        assert str(tmp_path) not in Path("/proc/self/maps").read_text()
        return Validation({"score": 1.0})

    train_toy(step, tmp_path, toy_settings(), validate=validate)


def test_moments_return_to_the_parameters_device_and_the_step_count_to_the_cpu() -> None:
    # The meta device stands for a GPU; one number is a parameter too.
    parameters = {
        "scale": nn.Parameter(torch.zeros((), device="meta")),
        "w": nn.Parameter(torch.zeros(2, device="meta")),
    }
    state = TrainingState(parameters, torch.optim.AdamW(parameters.values()))
    tensors = {f"parameter.{name}": torch.zeros(parameter.shape) for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        tensors |= {f"optimizer.{name}.{key}": torch.zeros(parameter.shape) for key in ("exp_avg", "exp_avg_sq")}
        tensors[f"optimizer.{name}.step"] = torch.tensor(3.0)
    restore(StoredState(tensors, DivergenceWatch(), [], 3), state)
    for parameter in parameters.values():
        devices = {key: value.device.type for key, value in state.optimizer.state[parameter].items()}
        assert devices == {"exp_avg": "meta", "exp_avg_sq": "meta", "step": "cpu"}
