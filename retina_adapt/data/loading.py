"""Training batches of any kind of data set: those with positions, and streams."""

import signal
from collections.abc import Iterator
from itertools import islice
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from retina_adapt.data.sampling import TrainingBatchSampler
from retina_adapt.data.streaming import StreamedImages


def training_batches(
    items: Dataset[Any] | StreamedImages[Any],
    batch_size: int,
    *,
    steps: int,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
    first_step: int = 0,
    first_position: int = 0,
    workers: int = 0,
) -> Iterator[dict[str, Tensor]]:
    """The batches of this process from `first_step` to `steps`, the same ones whenever they are asked for.

    Of a data set with positions, what a step sees does not depend on the numbers of processes and workers (see
    `TrainingBatchSampler`). Of a stream it is the same for equal numbers of both and an equal batch size.

    Args:
        items: of which batches are made. A data set of your own has a length, and `items[draw]` of a `Draw`, not of a
            position, gives a dictionary of tensors of one shape a key. All that is random in it comes from `draw.seed`:
            equal draws give equal items in whichever process. Which keys a recipe reads is in docs/data.md.
        batch_size: items a step on this process.
        steps: of the run, counted from 0.
        seed: of the order and the draws.
        rank, world_size: this process and the number of processes.
        first_step: steps done already, when a run resumes.
        first_position: items that were taken before step 0, on all processes together.
        workers: processes that prepare batches; 0 prepares them in this one.
    """
    if isinstance(items, StreamedImages):
        first_batch = first_step + -(-first_position // (batch_size * world_size))
        share = items.share(seed=seed, rank=rank, world_size=world_size, batch_size=batch_size, first_batch=first_batch)
        return islice(
            iter(
                DataLoader(
                    share,
                    batch_size=batch_size,
                    num_workers=workers,
                    worker_init_fn=_start_worker,
                    pin_memory=torch.cuda.is_available(),
                )
            ),
            steps - first_step,
        )
    sampler = TrainingBatchSampler(
        len(items),  # type: ignore[arg-type]  # PyTorch leaves `__len__` to those that have one
        batch_size,
        steps=steps,
        seed=seed,
        rank=rank,
        world_size=world_size,
        first_step=first_step,
        first_position=first_position,
    )
    return iter(
        DataLoader(
            items,
            batch_sampler=sampler,
            num_workers=workers,
            worker_init_fn=_start_worker,
            pin_memory=torch.cuda.is_available(),
        )
    )


def use_one_core(_: int) -> None:
    """A worker process of a `DataLoader` keeps to one core: there are as many workers as cores that are to work."""
    # Not 1, at which OpenCV ends its threads at once: a forked process has none of its parent's, and would crash.
    cv2.setNumThreads(0)


def _start_worker(number: int) -> None:
    use_one_core(number)
    # Ctrl-C reaches workers too; the training process finishes its step with what they prepare, and then ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
