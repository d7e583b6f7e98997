"""Training batches from data sets with positions and from streams."""

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
    """The batches of this process from `first_step` to `steps`; equal arguments give equal batches.

    With a data set with positions, what a step sees does not depend on the numbers of processes and workers (see
    `TrainingBatchSampler`). With a stream, it is the same for equal numbers of both and an equal batch size.

    Args:
        items: the data set. One of your own has a length, and `items[draw]`, with a `Draw` and not a position, gives a
            dictionary of tensors, those of one key all of one shape. All randomness in it comes from `draw.seed`, so
            equal draws give equal items in every process. docs/data.md lists the keys that each recipe reads.
        batch_size: items per step on this process.
        steps: total number of steps of the run, counted from 0.
        seed: seed of the order and the draws.
        rank, world_size: this process and the number of processes.
        first_step: number of steps already done, when a run resumes.
        first_position: number of items taken before step 0, on all processes together.
        workers: number of processes that prepare batches; with 0, this process does.
    """
    options: dict[str, Any] = {
        "num_workers": workers,
        "worker_init_fn": _start_worker,
        "pin_memory": torch.cuda.is_available(),
    }
    if isinstance(items, StreamedImages):
        first_batch = first_step + -(-first_position // (batch_size * world_size))
        share = items.share(seed=seed, rank=rank, world_size=world_size, batch_size=batch_size, first_batch=first_batch)
        return islice(iter(DataLoader(share, batch_size=batch_size, **options)), steps - first_step)
    sampler = TrainingBatchSampler(
        len(items),  # type: ignore[arg-type]  # PyTorch's `Dataset` does not declare `__len__`
        batch_size,
        steps=steps,
        seed=seed,
        rank=rank,
        world_size=world_size,
        first_step=first_step,
        first_position=first_position,
    )
    return iter(DataLoader(items, batch_sampler=sampler, **options))


def use_one_core(_: int) -> None:
    """Keep a worker process of a `DataLoader` to one core; the number of workers says how many cores work."""
    # Not 1, at which OpenCV ends its threads at once: a forked process has none of its parent's, and would crash.
    cv2.setNumThreads(0)


def _start_worker(number: int) -> None:
    use_one_core(number)
    # Ctrl-C reaches workers too; but the training process needs them to finish its step, and then ends them itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
