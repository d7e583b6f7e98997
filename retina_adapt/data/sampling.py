"""Which items make up each batch: a pure function of the seed and the step, whatever the number of processes.

Both samplers already give each process its own share. Do not pass their DataLoader through `accelerate`'s `prepare`,
which would share the batches out a second time.
"""

from collections.abc import Iterator

import numpy as np
import torch

from retina_adapt.data.draws import Draw, random_generator, seed_of
from retina_adapt.errors import RetinaAdaptError


class SamplingError(RetinaAdaptError):
    """Numbers of items, steps or processes that do not fit together."""


class TrainingBatchSampler(torch.utils.data.Sampler[list[Draw]]):
    """Batches of `Draw` for a number of optimiser steps.

    The items of all steps form one endless sequence of epochs, each a permutation of the data set. Each step takes the
    next `batch_size * world_size` items, and each rank a contiguous slice of these. A batch may span two epochs, so no
    item is ever dropped. Training on two processes with batches of 4 thus sees what one process sees with batches of
    8, and a run resumed at `first_step=k` sees what it would have seen without the interruption.

    Args:
        dataset_length: number of items in the data set.
        batch_size: items per step on this process.
        steps: total number of steps of the run, counted from 0.
        seed: seed of the permutations and of each draw's own seed.
        rank, world_size: this process and the number of processes.
        first_step: number of steps already done, when a run resumes.
        first_position: number of items that other batches took from the sequence before step 0.

    Raises:
        SamplingError: an empty data set or batch, or a rank or first step out of range.
    """

    def __init__(
        self,
        dataset_length: int,
        batch_size: int,
        *,
        steps: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        first_step: int = 0,
        first_position: int = 0,
    ) -> None:
        _require_shares(dataset_length, batch_size, rank, world_size)
        if not 0 <= first_step <= steps:
            raise SamplingError(f"first_step is {first_step}, but the run has steps 0 to {steps}; raise steps to go on")
        self.dataset_length = dataset_length
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.first_step = first_step
        self.first_position = first_position

    def __len__(self) -> int:
        return self.steps - self.first_step

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch_of_permutation, permutation = -1, np.empty(0, dtype=np.int64)
        for step in range(self.first_step, self.steps):
            batch = []
            first = self.first_position + (step * self.world_size + self.rank) * self.batch_size
            for position in range(first, first + self.batch_size):
                epoch, place = divmod(position, self.dataset_length)
                if epoch != epoch_of_permutation:
                    epoch_of_permutation, permutation = epoch, self._permutation(epoch)
                batch.append(Draw(int(permutation[place]), seed_of(self.seed, position)))
            yield batch

    def _permutation(self, epoch: int) -> np.ndarray:
        return random_generator(seed_of(self.seed, epoch), "permutation").permutation(self.dataset_length)


class EvaluationBatchSampler(torch.utils.data.Sampler[list[Draw]]):
    """Batches of `Draw` that visit every item once, in order, always with the same seeds.

    Rank r takes items r, r + world_size, ...: over all ranks each item appears exactly once, whereas other samplers
    repeat items to even out the ranks. Ranks may therefore differ by one item: gather results with a function that
    allows it.

    Args:
        dataset_length: number of items in the data set.
        batch_size: items per batch on this process; the last batch may be smaller.
        seed: seed from which each item's own seed is derived.
        rank, world_size: this process and the number of processes.

    Raises:
        SamplingError: an empty data set or batch, or a rank out of range.
    """

    def __init__(self, dataset_length: int, batch_size: int, *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        _require_shares(dataset_length, batch_size, rank, world_size)
        self.indices = range(rank, dataset_length, world_size)
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[list[Draw]]:
        for first in range(0, len(self.indices), self.batch_size):
            batch = self.indices[first : first + self.batch_size]
            yield [Draw(index, seed_of(self.seed, index)) for index in batch]


def _require_shares(dataset_length: int, batch_size: int, rank: int, world_size: int) -> None:
    if dataset_length < 1 or batch_size < 1:
        raise SamplingError(f"cannot make batches of {batch_size} from a data set of {dataset_length} items")
    if not 0 <= rank < world_size:
        raise SamplingError(f"rank is {rank}, but with {world_size} processes ranks are 0 to {world_size - 1}")
