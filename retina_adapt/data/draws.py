"""A draw: the index of an item of a data set, and the seed from which all its randomness comes."""

import zlib
from typing import NamedTuple

import numpy as np

from retina_adapt.errors import RetinaAdaptError


class NotADrawError(RetinaAdaptError):
    """A data set was indexed by a position, or by anything else that is not a `Draw`."""


class Draw(NamedTuple):
    """Key of one training item: equal draws give equal tensors in any worker, process or resumed run.

    Attributes:
        index: position in the data set; in a stream, the CRC-32 of the photograph's bytes.
        seed: non-negative and below 2**63, so that it fits an int64 tensor.
    """

    index: int  # type: ignore[assignment] # hides a tuple method that no draw needs
    seed: int


def require_draw(key: object) -> None:
    """Refuse a key that is not a `Draw`, such as the positions that PyTorch's own samplers give.

    Raises:
        NotADrawError: tells how to get an item, and how to get batches.
    """
    if not isinstance(key, Draw):
        raise NotADrawError(
            f"items are indexed by a Draw, which is a position and a seed, not by {key!r}: the first one is "
            "items[Draw(0, seed=0)]. Take batches from training_batches(items, ...), or from DataLoader(items, "
            "batch_sampler=...) with a TrainingBatchSampler or an EvaluationBatchSampler"
        )


def seed_of(*numbers: int) -> int:
    """Mix non-negative numbers, in this order, into one seed in [0, 2**63); trailing zeros change nothing."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def random_generator(seed: int, purpose: str) -> np.random.Generator:
    """The random generator for one purpose.

    Purposes are independent, so switching flips on leaves crops and degradations as they were.
    """
    return np.random.default_rng((seed, zlib.crc32(purpose.encode())))
