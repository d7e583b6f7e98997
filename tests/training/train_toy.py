"""Run by test_resume.py in processes of its own: train_toy.py FOLDER BATCH_SIZE STEPS PROCESSES."""

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from toy_training import ToyStep, toy_settings, train_toy


def main(folder: Path, batch_size: int, steps: int, processes: int) -> None:
    accelerator = Accelerator(cpu=True)
    # A launcher that is asked for two processes may quietly start one.
    assert accelerator.num_processes == processes
    step = ToyStep()
    train_toy(step, folder, toy_settings(steps=steps, batch_size=batch_size), accelerator=accelerator)
    if accelerator.is_main_process:
        tensors = {name: tensor.flatten().tolist() for name, tensor in step.named_parameters()}
        (folder / "trained.json").write_text(json.dumps(tensors))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
