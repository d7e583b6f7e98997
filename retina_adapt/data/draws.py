"""A draw: which item of a data set, and the one number that all of its randomness comes from."""

import zlib
from typing import NamedTuple

import numpy as np

from retina_adapt.errors import RetinaAdaptError


class NotADrawError(RetinaAdaptError):
    """An item was asked for by its position alone, or by something else that is no `Draw`."""


class Draw(NamedTuple):
    """Key of one training item: equal draws give equal tensors in any worker, process or resumed run.

    Attributes:
        index: position in the data set.
        seed: non-negative and below 2**63, so that it fits an int64 tensor.
    """

    index: int  # type: ignore[assignment] # hides a method of tuples that no draw needs
    seed: int


def require_draw(key: object) -> None:
    """Refuse a key that is no `Draw`, as those are that lists and PyTorch's own samplers are read by.

    Raises:
        NotADrawError: tells how to ask for an item, and for batches.
    """
    if not isinstance(key, Draw):
        raise NotADrawError(
            f"an item is asked for by a Draw, its position and a seed, not by {key!r}: the first one is "
            "items[Draw(0, seed=0)]. Take batches from training_batches(items, ...), or from DataLoader(items, "
            "batch_sampler=...) with a TrainingBatchSampler or an EvaluationBatchSampler"
        )


def seed_of(*numbers: int) -> int:
    """Mix non-negative numbers, in this order, into one seed in [0, 2**63); zeros at the end change nothing."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def random_generator(seed: int, purpose: str) -> np.random.Generator:
    """The random stream of one purpose.

    Purposes are independent, so that switching flips on leaves crops and degradations as they were.
    """
    return np.random.default_rng((seed, zlib.crc32(purpose.encode())))
