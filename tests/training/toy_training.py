"""A training that takes a moment, for the tests of this room: 10 items, 41 parameters."""

import multiprocessing
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from retina_adapt.data import Draw, TrainingBatchSampler
from retina_adapt.training import OptimizerMaker, ScoredStep, TrainingSettings, Validation, adamw, train


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
    """A small network, one tensor of which is frozen; it always starts with the same weights."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.scale = scale

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        target = batch["index"].float().sin()[:, None] * self.frozen
        return {"loss": self.scale * (self.layers(batch["x"]) - target).square().mean()}


class PowerCut(Exception):  # noqa: N818 - no error of the data that raise it
    """Ends a run without a chance to tidy up."""


def toy_settings(**changes: object) -> TrainingSettings:
    """Settings of 12 steps with a checkpoint after 5 and 10."""
    values = {"steps": 12, "batch_size": 4, "learning_rate": 0.05, "warmup_steps": 2, "checkpoint_every": 5}
    return TrainingSettings(**(values | changes))


def train_toy(
    step: nn.Module,
    folder: Path,
    settings: TrainingSettings,
    *,
    batches: int | None = None,
    accelerator: Accelerator | None = None,
    validate: Callable[[], Validation] = lambda: Validation({"score": 1.0}),
    observe_validations: Callable[[Sequence[ScoredStep]], None] = lambda validations: None,
    watched_loss: str = "loss",
    phase_starts: Collection[int] = (),
    built_on: str = "",
    make_optimizer: OptimizerMaker = adamw,
) -> Validation | None:
    """Train `step` in `folder`; None if the power is cut, which happens once `batches` micro-batches were given."""
    accelerator = accelerator or Accelerator(cpu=True)

    def batches_from(first: int) -> Iterator[dict[str, Tensor]]:
        sampler = TrainingBatchSampler(
            len(Numbers()),
            settings.batch_size,
            steps=settings.steps * settings.gradient_accumulation,
            seed=7,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
            first_step=first,
        )
        for position, batch in enumerate(DataLoader(Numbers(), batch_sampler=sampler), start=first):
            if position == batches:
                raise PowerCut
            yield batch

    try:
        return train(
            step,
            name="toy",
            accelerator=accelerator,
            settings=settings,
            batches_from=batches_from,
            validate=validate,
            observe_validations=observe_validations,
            output_folder=folder,
            watched_loss=watched_loss,
            phase_starts=phase_starts,
            built_on=built_on,
            make_optimizer=make_optimizer,
        )
    except PowerCut:
        return None


def trained(folder: Path, *, batches: int | None = None, **changes: object) -> dict[str, Tensor]:
    """The tensors after a toy training in `folder`."""
    step = ToyStep()
    train_toy(step, folder, toy_settings(**changes), batches=batches)
    return {name: tensor.detach().clone() for name, tensor in step.named_parameters()}


def in_another_process(function: Callable[[], object]) -> BaseProcess:
    """Start `function` in a process of its own that a test can signal, starve or kill.

    It is forked: importing torch anew would take longer than the trainings.
    """

    def run() -> None:
        # The progress bar's lock is shared with forked processes, and one that is killed never gives it back.
        tqdm.set_lock(threading.RLock())
        function()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process
