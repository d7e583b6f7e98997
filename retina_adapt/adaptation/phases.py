"""The phases of a stage: small frames first, then whole ones, finally a second look at larger copies."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor

from retina_adapt.configuration import ConfigurationError
from retina_adapt.data import DegradedPairs, PairItem, PairsWithLatents, RealPairs, StreamedImages, training_batches
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.training import TrainingSettings

TrainingPairs = DegradedPairs | RealPairs | PairsWithLatents | StreamedImages[PairItem]


class PairBatchError(RetinaAdaptError):
    """A data set yields batches that are not batches of pairs; the message names the key."""


class Phase(NamedTuple):
    """A part of a stage.

    Attributes:
        pairs: the pairs to train on.
        last_step: the stage's step at which the phase ends; the next phase begins there.
        batch_size: pairs per micro-batch on each process.
        cost: cost of a pair, in frames of the backbone's size.
    """

    pairs: TrainingPairs
    last_step: int
    batch_size: int
    cost: float = 1.0


@dataclass
class SmallFrames:
    """The beginning of stage one, on smaller frames, which cost less: a quarter per step at half the size.

    Light, haze and colour are learned just as well there; fine structure is learned in the remaining steps.

    Args:
        steps: how many of stage one's first steps see small frames; 0 is none.
        size: side of a small frame in pixels, a multiple of the backbone's stride.
    """

    steps: int = 0
    size: int = 128

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ConfigurationError(f"small_frames.steps is {self.steps}; it must not be negative")


@dataclass
class SecondLook:
    """The end of stage one, at twice the backbone's frame size, which shows vessels that a frame does not.

    `Enhancer` looks at a photograph twice: at the frame, for light and colour, and at a larger copy, for what is fine
    (`detail="fine"`). These steps do the same and judge both pictures, the frame and the larger copy, without losses on
    latents. A pair costs five times as much as in the steps before.

    Args:
        steps: how many of stage one's last steps take the second look; 0 is none.
        batch_size: pairs per micro-batch on each process.
    """

    steps: int = 0
    batch_size: int = 2

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1:
            raise ConfigurationError("second_look: steps must not be negative, and batch_size must be at least 1")


def batches_of_phases(
    phases: list[Phase], settings: TrainingSettings, accelerator: Accelerator, first: int
) -> Iterator[dict[str, Tensor]]:
    """Yield batches from the stage's micro-batch `first` on, each phase's pairs until its last step.

    A dry run tries the phase whose steps take the most memory and time.

    Raises:
        PairBatchError: see `require_pairs`, which checks the first batch of each phase.
    """
    if settings.dry_run:
        begins = [0, *(phase.last_step for phase in phases)]
        with_steps = [phase for phase, begin in zip(phases, begins, strict=False) if phase.last_step > begin]
        phases = [max(with_steps, key=lambda phase: phase.batch_size * phase.cost)]
    begin, first_position = 0, 0
    for phase in phases:
        last = phase.last_step * settings.gradient_accumulation
        if first < last:
            batches = training_batches(
                phase.pairs,
                phase.batch_size,
                steps=last - begin,
                seed=settings.seed,
                rank=accelerator.process_index,
                world_size=accelerator.num_processes,
                first_step=max(0, first - begin),
                first_position=first_position,
                workers=settings.workers,
            )
            for number, batch in enumerate(batches):
                if number == 0:  # for users' own data sets; one batch tells
                    require_pairs(batch)
                yield batch
        # Smaller batches continue where larger ones ended, rather than where they would be by now: each draw is new.
        first_position += (last - begin) * phase.batch_size * accelerator.num_processes
        begin = last


def require_pairs(batch: dict[str, Tensor]) -> None:
    """Refuse a batch that does not hold pairs as docs/data.md describes them ("A Dataset of your own").

    Raises:
        PairBatchError: "low", "high", "mask" or "seed" is missing, or of another shape, type or range.
    """
    if missing := [key for key in ("low", "high", "mask", "seed") if key not in batch]:
        raise PairBatchError(f"pairs lack {', '.join(missing)}; an item must have low, high, mask and seed")
    low, high, seed = batch["low"], batch["high"], batch["seed"]
    for key, pixels in (("low", low), ("high", high)):
        if pixels.ndim != 4 or pixels.dtype != torch.float32 or not (pixels.min() >= 0 and pixels.max() <= 1):
            raise PairBatchError(
                f"{key} of pairs is {pixels.dtype} {tuple(pixels.shape)} from {pixels.min():g} to {pixels.max():g}; an "
                "item's must be float32 (channels, height, width) from 0 to 1"
            )
    mask_shape = (len(low), 1, *low.shape[2:])
    for key, shape, dtype in (("high", tuple(low.shape), torch.float32), ("mask", mask_shape, torch.bool)):
        if tuple(batch[key].shape) != shape or batch[key].dtype != dtype:
            raise PairBatchError(
                f"{key} of pairs is {batch[key].dtype} {tuple(batch[key].shape)}; beside low {tuple(low.shape)} it "
                f"must be {dtype} {shape}"
            )
    if seed.shape != low.shape[:1] or seed.dtype != torch.int64:
        raise PairBatchError(f"seed of pairs is {seed.dtype} {tuple(seed.shape)}; give torch.tensor(draw.seed)")
