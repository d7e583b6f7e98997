"""Contract 7: training in one go equals training, stopping and resuming; on one process and on two."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from retina_adapt.data import Draw, TrainingBatchSampler
from retina_adapt.training import (
    CheckpointError,
    NothingToTrainError,
    TrainingDivergedError,
    TrainingSettings,
    Validation,
    train,
)

SCRIPT = Path(__file__).with_name("train_toy.py")


class Numbers(Dataset):
    """Items that are a function of their draw."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        return {
            "x": torch.randn(3, generator=torch.Generator().manual_seed(draw.seed)),
            "index": torch.tensor(draw.index),
        }


class ToyStep(nn.Module):
    """A small network, one tensor of which is frozen."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.scale = scale

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        target = batch["index"].float().sin()[:, None] * self.frozen
        return {"loss": self.scale * (self.layers(batch["x"]) - target).square().mean()}


def run(folder: Path, *, steps: int, total: int = 12, **changes: object) -> dict[str, Tensor]:
    """Train in `folder` until `steps` of a run of `total`; return the trained tensors."""
    torch.manual_seed(0)
    step = ToyStep()
    settings = TrainingSettings(steps=total, batch_size=4, learning_rate=0.05, warmup_steps=2, checkpoint_every=5)
    for name, value in changes.items():
        setattr(settings, name, value)
    stop_after = Stopper(steps)
    train_toy(step, folder, settings, stop_after)
    return {name: tensor.detach().clone() for name, tensor in step.named_parameters()}


class Stopper(Exception):  # noqa: N818 - no error, but a power cut
    """Raised by the data after a number of batches: the run ends without a chance to tidy up."""

    def __init__(self, steps: int) -> None:
        self.steps = steps


def train_toy(step: nn.Module, folder: Path, settings: TrainingSettings, stopper: Stopper) -> Validation | None:
    def batches_from(first: int):
        sampler = TrainingBatchSampler(
            10, settings.batch_size, steps=settings.steps * settings.gradient_accumulation, seed=7, first_step=first
        )
        for position, batch in enumerate(DataLoader(Numbers(), batch_sampler=sampler), start=first):
            if position >= stopper.steps:
                raise stopper
            yield batch

    try:
        return train(
            step,
            name="toy",
            accelerator=Accelerator(cpu=True, gradient_accumulation_steps=settings.gradient_accumulation),
            settings=settings,
            batches_from=batches_from,
            validate=lambda: Validation({"score": 1.0}),
            output_folder=folder,
        )
    except Stopper:
        return None


@pytest.mark.parametrize("stop", [1, 5, 7, 11])
def test_a_resumed_run_gives_the_same_bits(stop: int, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", steps=12)
    run(tmp_path / "parts", steps=stop)
    resumed = run(tmp_path / "parts", steps=12)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    run(tmp_path, steps=12, checkpoint_every=2, checkpoints_kept=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints" / "toy").iterdir()) == [
        "step-00000010",
        "step-00000012",
    ]


def test_checkpoints_hold_no_pickle_and_no_frozen_tensor(tmp_path: Path) -> None:
    run(tmp_path, steps=12)
    files = [path for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    assert all(b"frozen" not in path.read_bytes() for path in files)


def test_a_half_written_checkpoint_is_not_taken_for_one(tmp_path: Path) -> None:
    run(tmp_path, steps=7)
    leftover = tmp_path / "checkpoints" / "toy" / ".step-00000010.k2j3"
    leftover.mkdir()
    (leftover / "training_state.safetensors").write_bytes(b"half")
    resumed = run(tmp_path, steps=12)
    whole = run(tmp_path.parent / "whole", steps=12)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    "change",
    [
        lambda checkpoint: (checkpoint / "training_state.safetensors").write_bytes(b"torn"),
        lambda checkpoint: (checkpoint / "training_state.json").write_text("{}"),
        lambda checkpoint: (checkpoint / "training_state.json").unlink(),
    ],
)
def test_a_damaged_checkpoint_is_an_error_that_names_it(change: Callable[[Path], None], tmp_path: Path) -> None:
    run(tmp_path, steps=7)
    checkpoint = tmp_path / "checkpoints" / "toy" / "step-00000005"
    change(checkpoint)
    with pytest.raises(CheckpointError, match="step-00000005"):
        run(tmp_path, steps=12)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    run(tmp_path, steps=7)
    other = ToyStep()
    other.layers[0] = nn.Linear(3, 9)
    with pytest.raises(CheckpointError, match="another configuration"):
        train_toy(other, tmp_path, TrainingSettings(steps=12), Stopper(12))


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError, match="step 1"):
        train_toy(ToyStep(scale=float("inf")), tmp_path, TrainingSettings(steps=6, log_every=3), Stopper(6))


def test_a_step_without_trainable_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToTrainError, match="toy"):
        train_toy(ToyStep().requires_grad_(False), tmp_path, TrainingSettings(steps=2), Stopper(2))


def test_accumulating_gradients_equals_a_larger_batch(tmp_path: Path) -> None:
    large = run(tmp_path / "large", steps=12, batch_size=4)
    small = run(tmp_path / "small", steps=24, batch_size=2, gradient_accumulation=2)
    for name in large:
        torch.testing.assert_close(small[name], large[name], rtol=1e-4, atol=1e-6)


def launch(folder: Path, *, processes: int, batch_size: int, steps: int) -> dict[str, list[float]]:
    arguments = [str(SCRIPT), str(folder), str(batch_size), str(steps)]
    # The launcher's `--cpu` starts one process, whatever number it is given; this starts two, over gloo.
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), *arguments]
    subprocess.run(command, check=True, timeout=300, env=os.environ | {"ACCELERATE_USE_CPU": "true"})
    return json.loads((folder / "trained.json").read_text())


@pytest.mark.slow
def test_two_processes_equal_one_with_twice_the_batch_and_resume(tmp_path: Path) -> None:
    one = launch(tmp_path / "one", processes=1, batch_size=4, steps=12)
    two = launch(tmp_path / "two", processes=2, batch_size=2, steps=12)
    launch(tmp_path / "parts", processes=2, batch_size=2, steps=7)
    resumed = launch(tmp_path / "parts", processes=2, batch_size=2, steps=12)
    for name in one:
        # Summing gradients in another order costs the last bits.
        torch.testing.assert_close(torch.tensor(two[name]), torch.tensor(one[name]), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(torch.tensor(resumed[name]), torch.tensor(two[name]), rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(tmp_path: Path) -> None:
    whole = launch(tmp_path / "whole", processes=1, batch_size=4, steps=60)
    folder = tmp_path / "killed"
    for seconds in (0.05, 0.2):
        process = subprocess.Popen([sys.executable, str(SCRIPT), str(folder), "4", "60"], start_new_session=True)
        while not (folder / "checkpoints").is_dir() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    resumed = launch(folder, processes=1, batch_size=4, steps=60)
    assert resumed == whole
