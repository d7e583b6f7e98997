"""How items are asked for, and what the worker processes that make them start with."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from retina_adapt.data import (
    Draw,
    LatentCache,
    NotADrawError,
    PairsWithLatents,
    PreparedPhotographs,
    UnpairedImages,
    WholeFrame,
    degraded_pairs,
    paired_columns,
    training_batches,
)
from retina_adapt.data.unpaired import image_item

SIZE = 32


def encode(images: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(images, 4)


@pytest.fixture
def data_sets(fundus_rows) -> dict[str, Dataset]:
    """One of every kind that has positions."""
    columns = fundus_rows.add_column("clear", fundus_rows["image"]).rename_column("image", "low")
    real = paired_columns(columns, "low", "clear", SIZE)
    images = UnpairedImages(PreparedPhotographs(fundus_rows, SIZE), WholeFrame(SIZE))
    return {
        "degraded pairs": degraded_pairs(fundus_rows, SIZE, preset="light"),
        "real pairs": real,
        "pairs with latents": PairsWithLatents(real, encode, key="backbone"),
        "unpaired images": images,
        "latents": LatentCache(images, encode, variants=1, seed=0, key="backbone"),
    }


def test_an_item_that_is_not_asked_for_by_a_draw_is_an_error_that_shows_how(data_sets):
    for items in data_sets.values():
        for key in (0, (0, 0), slice(2)):
            with pytest.raises(NotADrawError, match=r"items\[Draw\(0, seed=0\)\].*training_batches"):
                items[key]
        with pytest.raises(NotADrawError):
            list(items)
        with pytest.raises(NotADrawError):
            next(iter(DataLoader(items, batch_size=2, shuffle=True)))
        assert items[Draw(0, seed=0)]["index"] == 0


def let_opencv_work() -> None:
    cv2.GaussianBlur(np.zeros((1024, 1024, 3), np.float32), (0, 0), 5)


@pytest.fixture
def threads_of_this_process() -> Iterator[None]:
    """Four threads of OpenCV's, which a forked process inherits the number of, but not the threads."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    let_opencv_work()
    yield
    cv2.setNumThreads(before)
    # Threads too many end here, and not in a process that a later test forks.
    let_opencv_work()


class Threads(Dataset):
    """An item is how many threads OpenCV works with, after it has worked."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, draw: Draw) -> int:
        let_opencv_work()
        return cv2.getNumThreads()


@pytest.mark.usefixtures("threads_of_this_process")
def test_a_worker_keeps_to_one_core_even_where_this_process_uses_several():
    (batch,) = training_batches(Threads(), 2, steps=1, seed=0, workers=1)
    assert batch.tolist() == [1, 1]
    (batch,) = training_batches(Threads(), 2, steps=1, seed=0, workers=0)
    assert batch.tolist() == [4, 4]


@dataclass(frozen=True)
class ThreadsAsImage:
    """An image whose values are a tenth of the number of OpenCV's threads."""

    def __call__(self, photograph, draw):
        return image_item(np.full((8, 8, 3), cv2.getNumThreads() / 10, np.float32), np.ones((8, 8), bool), draw)


@pytest.mark.usefixtures("threads_of_this_process")
def test_workers_that_prepare_what_is_encoded_keep_to_one_core_each(fundus_rows):
    images = UnpairedImages(PreparedPhotographs(fundus_rows, SIZE), ThreadsAsImage())
    cache = LatentCache(images, encode, variants=1, seed=0, key="backbone", workers=1)
    torch.testing.assert_close(cache[Draw(0, 0)]["latent"], torch.full((3, 2, 2), 0.1))
