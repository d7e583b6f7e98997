"""Runs that are killed, asked to stop, or out of room: they go on from what was kept, to the same bits."""

import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from toy_training import ToyStep, in_another_process, toy_settings, train_toy, trained

from retina_adapt.data import Draw, training_batches
from retina_adapt.training import (
    CheckpointError,
    TrackingSettings,
    TrainingStopped,
    Validation,
    interruption,
    start_run,
)

STEPS = 60


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def checkpoints(folder: Path) -> list[int]:
    found = (folder / "checkpoints" / "toy").glob("step-*")
    return sorted(int(path.name.removeprefix("step-")) for path in found)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "the other process did not get there within a minute"
        time.sleep(0.002)


@pytest.mark.slow
def test_a_run_killed_twenty_times_at_random_moments_resumes_to_the_same_bits(tmp_path: Path) -> None:
    settings = {"steps": STEPS, "checkpoint_every": 1, "validate_every": 7, "moving_average_decay": 0.9}
    whole = trained(tmp_path / "whole", **settings)
    folder, moments, reached = tmp_path / "killed", random.Random(0), []
    for kill in range(1, 21):
        process = in_another_process(lambda: trained(folder, **settings))
        # It gets somewhere each time, else twenty kills would all fall into the start.
        wait_until(lambda goal=kill * STEPS // 40: max(checkpoints(folder), default=0) >= goal)
        time.sleep(moments.uniform(0, 0.02))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it ended before it was killed"
        reached.append(max(checkpoints(folder)))
    assert reached == sorted(reached)
    assert same_bits(trained(folder, **settings), whole)
    assert not list((folder / "checkpoints" / "toy").glob(".step-*"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_keeps_a_checkpoint_of_the_step_and_ends_with_the_stated_status(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    settings = {"steps": 4000, "checkpoint_every": 10, "log_every": 4000}
    folder = tmp_path / "stopped"
    process = in_another_process(lambda: trained(folder, **settings))
    wait_until(lambda: bool(checkpoints(folder)))
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == status
    stopped = max(checkpoints(folder))
    assert stopped < 4000
    again = toy_settings(steps=4000, checkpoint_every=4000)
    one, other = ToyStep(), ToyStep()
    train_toy(one, folder, again, batches=stopped + 20)
    train_toy(other, tmp_path / "whole", again, batches=stopped + 20)
    assert same_bits(dict(one.named_parameters()), dict(other.named_parameters()))


class Signalling(ToyStep):
    """Gets SIGTERM in a step, the third one by default."""

    def __init__(self, step: int = 3) -> None:
        super().__init__()
        self.step = step

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if batch["step"] == self.step - 1:
            signal.raise_signal(signal.SIGTERM)
        return super().forward(batch)


def test_workers_leave_an_interrupt_to_the_training_process() -> None:
    class Items(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, draw: Draw) -> bool:
            return signal.getsignal(signal.SIGINT) is signal.SIG_IGN

    batches = training_batches(Items(), 1, steps=2, seed=0, rank=0, world_size=1, workers=1)
    assert [bool(batch) for batch in batches] == [True, True]


class Interrupted(ToyStep):
    """Gets two SIGINTs in its third step."""

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if batch["step"] == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return super().forward(batch)


def test_an_interrupt_that_the_launcher_hands_on_is_the_same_one(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped):
        train_toy(Interrupted(), tmp_path, toy_settings())
    assert checkpoints(tmp_path) == [3]


def test_a_later_interrupt_ends_a_step_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "SAME_REQUEST_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        train_toy(Interrupted(), tmp_path, toy_settings())
    assert checkpoints(tmp_path) == []


def test_sigterm_has_its_old_action_after_the_training(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingStopped):
        train_toy(Signalling(), tmp_path, toy_settings())
    assert signal.getsignal(signal.SIGTERM) is before
    assert checkpoints(tmp_path) == [3]


@pytest.mark.parametrize("when", ["last step", "last validation"])
def test_sigterm_at_the_very_end_keeps_what_comes_next_from_beginning(tmp_path: Path, when: str) -> None:
    settings, validated = toy_settings(steps=6, validate_every=6), []

    def validate() -> Validation:
        validated.append(when)
        if when == "last validation":
            signal.raise_signal(signal.SIGTERM)
        return Validation({"score": 1.0})

    step = Signalling(6) if when == "last step" else ToyStep()
    with pytest.raises(TrainingStopped):
        train_toy(step, tmp_path, settings, validate=validate)
    assert max(checkpoints(tmp_path)) == 6
    assert len(validated) == (when == "last validation")
    train_toy(ToyStep(), tmp_path, settings, validate=lambda: Validation({"score": 1.0}))


def test_a_full_disk_is_a_clear_error_and_the_checkpoint_before_it_stays(tmp_path: Path) -> None:
    messages = tmp_path / "message"

    def starve() -> None:
        trained(tmp_path / "full", batches=7)
        # No file may grow beyond this any more: the kernel refuses writes as on a full disk; pytest captures in files.
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, unlimited[1]))
        try:
            trained(tmp_path / "full")
        except CheckpointError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
            messages.write_text(str(error))

    in_another_process(starve).join()
    assert "step-00000010: cannot be written" in messages.read_text()
    assert "make room" in messages.read_text()
    assert "step-00000005, which is whole" in messages.read_text()
    assert checkpoints(tmp_path / "full") == [5]
    assert same_bits(trained(tmp_path / "full"), trained(tmp_path / "whole"))


def test_a_run_killed_while_it_validates_validates_when_it_resumes(tmp_path: Path) -> None:
    seen: list[int] = []

    def killed() -> Validation:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    settings = toy_settings(steps=6, validate_every=3)
    process = in_another_process(lambda: train_toy(ToyStep(), tmp_path, settings, validate=killed))
    process.join()
    assert checkpoints(tmp_path) == [3]

    def validate() -> Validation:
        seen.append(max(checkpoints(tmp_path)))
        return Validation({"score": 1.0})

    train_toy(ToyStep(), tmp_path, settings, validate=validate)
    assert seen == [3, 6]


class Dropping(ToyStep):
    """Draws from torch's own generator."""

    def __init__(self) -> None:
        super().__init__()
        self.layers.insert(2, nn.Dropout(0.5))


def test_dropout_is_the_same_after_a_resume(tmp_path: Path) -> None:
    whole, parts = Dropping(), Dropping()
    train_toy(whole, tmp_path / "whole", toy_settings(validate_every=5))
    train_toy(Dropping(), tmp_path / "parts", toy_settings(validate_every=5), batches=8)
    torch.rand(3)
    train_toy(parts, tmp_path / "parts", toy_settings(validate_every=5))
    assert same_bits(dict(whole.named_parameters()), dict(parts.named_parameters()))


def test_tensorboard_has_every_step_once_after_a_kill_and_keeps_other_trainings(tmp_path: Path) -> None:
    settings = toy_settings(log_every=1, validate_every=6)

    def run(*, batches: int | None = None) -> None:
        accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=tmp_path)
        start_run(accelerator, settings, tmp_path, TrackingSettings())
        accelerator.log({"other/loss": 1.0}, step=11)
        train_toy(ToyStep(), tmp_path, settings, accelerator=accelerator, batches=batches)
        accelerator.end_training()

    run(batches=9)
    run()
    steps: dict[str, list[int]] = {}
    for path in sorted(tmp_path.rglob("events.out.tfevents.*")):
        events = EventAccumulator(str(path)).Reload()
        for tag in events.Tags()["scalars"]:
            steps.setdefault(tag, []).extend(event.step for event in events.Scalars(tag))
    assert steps["toy/loss"] == list(range(1, 13))
    assert steps["toy/validation/score"] == [6, 12]
    assert steps["other/loss"] == [11, 11]
