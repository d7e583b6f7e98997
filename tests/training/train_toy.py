"""Run by tests in processes of its own: a training that ends, and one in which a process fails."""

import json
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor
from toy_training import ToyStep, toy_settings, train_toy

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.training import run_recipe


@dataclass
class ToyConfig:
    """What to train.

    Args:
        folder: where to.
        batch_size: items per process.
        steps: how many.
        processes: how many there must be.
        failing: the process that fails in the third step of a second training.
    """

    folder: str
    batch_size: int = 2
    steps: int = 12
    processes: int = 1
    failing: int = 0


class BrokenPhotographError(RetinaAdaptError):
    """Something that one process alone meets."""


class FailingStep(ToyStep):
    """Meets a broken photograph in its third step."""

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if batch["step"] == 2:
            raise BrokenPhotographError("eye_7.png: broken; remove it")
        return super().forward(batch)


def main(config: ToyConfig) -> None:
    accelerator = Accelerator(cpu=True)
    # A launcher that is asked for two processes may quietly start one.
    assert accelerator.num_processes == config.processes
    step = ToyStep()
    settings = toy_settings(steps=config.steps, batch_size=config.batch_size)
    train_toy(step, Path(config.folder), settings, accelerator=accelerator)
    if accelerator.is_main_process:
        tensors = {name: tensor.flatten().tolist() for name, tensor in step.named_parameters()}
        (Path(config.folder) / "trained.json").write_text(json.dumps(tensors))
    step = FailingStep() if accelerator.process_index == config.failing else ToyStep()
    train_toy(step, Path(config.folder) / "failing", settings, accelerator=accelerator)


if __name__ == "__main__":
    run_recipe(main, ToyConfig, description=__doc__)
