"""The photographs of the comparison: data sets by name, and pairs that are fixed once and for all."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from retina_adapt.data import DegradedPairs, Draw, Flips, PairSource, PhotographSource, open_pairs
from retina_adapt.data.draws import random_generator, seed_of

FIXED_DRAWS = 1


@dataclass
class DataSet:
    """Clear photographs of one data set.

    Args:
        name: as it stands in tables.
        path: its folder.
        where: ranges that columns of its metadata must lie in.
    """

    name: str
    path: str
    where: dict[str, list[float]] = field(default_factory=dict)

    def source(self, split: str) -> PhotographSource:
        return PhotographSource(path=self.path, split=split, where=self.where)


class FixedPairs(Dataset):
    """The first so many pairs of a seeded order of the photographs, each degraded once and for all.

    A clinic that has ten pairs has ten, not ten photographs that can be degraded anew; only flips differ from draw to
    draw. Where there are fewer photographs than pairs, photographs return with another degradation.

    Args:
        clear_share: how often, in [0, 1], a pair's clear photograph stands in for its degraded one.
    """

    def __init__(self, pairs: DegradedPairs, count: int, seed: int, flips: Flips, *, clear_share: float) -> None:
        order = np.random.default_rng(seed).permutation(len(pairs))
        self.draws = [
            Draw(int(order[position % len(order)]), seed_of(seed, position, FIXED_DRAWS)) for position in range(count)
        ]
        self.pairs = pairs
        self.flips = flips
        self.clear_share = clear_share

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        item = self.pairs[self.draws[draw.index]]
        stays_clear = random_generator(draw.seed, "clear").random() < self.clear_share
        keys = ("high" if stays_clear else "low", "high", "mask")
        images = [item[key].permute(1, 2, 0).numpy() for key in keys]
        low, high, mask = (
            torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
            for image in self.flips.apply(draw.seed, *images)
        )
        return {"low": low, "high": high, "mask": mask, "seed": torch.tensor(draw.seed)}


def degraded(data_sets: list[DataSet] | tuple[DataSet, ...], split: str, degradation: str, size: int) -> DegradedPairs:
    """Pairs of one split of these data sets, for scoring: no flips, none left clear."""
    return open_pairs(
        PairSource(clear=[data_set.source(split) for data_set in data_sets], degradation=degradation), size
    )
