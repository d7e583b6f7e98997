"""Run by test_resume.py in processes of its own: train_toy.py FOLDER BATCH_SIZE STEPS."""

import contextlib
import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parent))
from test_resume import Numbers, Stopper, ToyStep

from retina_adapt.data import TrainingBatchSampler
from retina_adapt.training import TrainingSettings, Validation, train


def main(folder: Path, batch_size: int, steps: int) -> None:
    accelerator = Accelerator(cpu=True)
    total = max(steps, 12)
    settings = TrainingSettings(
        steps=total, batch_size=batch_size, learning_rate=0.05, warmup_steps=2, checkpoint_every=5
    )
    torch.manual_seed(0)
    step = ToyStep()

    def batches_from(first: int):
        sampler = TrainingBatchSampler(
            10,
            batch_size,
            steps=total,
            seed=7,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
            first_step=first,
        )
        for position, batch in enumerate(DataLoader(Numbers(), batch_sampler=sampler), start=first):
            if position >= steps:
                raise Stopper(steps)
            yield batch

    with contextlib.suppress(Stopper):
        train(
            step,
            name="toy",
            accelerator=accelerator,
            settings=settings,
            batches_from=batches_from,
            validate=lambda: Validation({"score": 1.0}),
            output_folder=folder,
        )
    if accelerator.is_main_process:
        trained = {name: tensor.flatten().tolist() for name, tensor in step.named_parameters()}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "trained.json").write_text(json.dumps(trained))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
