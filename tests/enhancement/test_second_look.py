"""Two looks combined for training: the same as what `Enhancer` makes of them."""

import numpy as np
import pytest
import torch
from torch import Tensor
from whole_enlargements import enlarged

from retina_adapt.enhancement import SmallChange, combine_looks
from retina_adapt.enhancement.tiles import tiled_change

FRAME, LARGER = 48, 96


@pytest.fixture
def changes() -> tuple[Tensor, Tensor]:
    """A smooth change of a frame, and one of a larger copy with detail of its own."""
    generator = np.random.default_rng(3)
    frame = enlarged(generator.normal(size=(6, 6, 3)), FRAME)
    larger = enlarged(generator.normal(size=(6, 6, 3)), LARGER) + generator.normal(scale=0.1, size=(LARGER, LARGER, 3))
    return as_batch(frame), as_batch(larger)


def as_batch(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32))[None]


def as_pixels(batch: Tensor) -> np.ndarray:
    return batch[0].permute(1, 2, 0).numpy()


def test_it_is_what_enhancing_makes_of_a_single_large_tile(changes: tuple[Tensor, Tensor]) -> None:
    frame, larger = (as_pixels(change) for change in changes)
    by_enhancing = tiled_change(
        np.zeros((LARGER, LARGER, 3), dtype=np.float32),
        np.ones((LARGER, LARGER), dtype=bool),
        SmallChange(np.zeros((FRAME, FRAME, 3), dtype=np.float32), frame, follow_detail=False),
        lambda tiles, numbers: larger[None],
        tile_side=LARGER,
        batch_size=1,
    )
    combined = as_pixels(combine_looks(*changes))
    inside = slice(16, -16)  # borders are mirrored by the one, left out of the average by the other
    np.testing.assert_allclose(combined[inside, inside], by_enhancing[inside, inside], atol=0.02)
    assert np.abs(by_enhancing[inside, inside] - larger[inside, inside]).max() > 0.5


def test_light_and_colour_of_the_larger_copy_do_not_count(changes: tuple[Tensor, Tensor]) -> None:
    frame, larger = changes
    brighter = larger + torch.tensor([0.5, -0.2, 0.1])[None, :, None, None]
    torch.testing.assert_close(combine_looks(frame, brighter), combine_looks(frame, larger), atol=1e-5, rtol=0)


def test_both_looks_learn(changes: tuple[Tensor, Tensor]) -> None:
    frame, larger = (change.requires_grad_(True) for change in changes)
    combine_looks(frame, larger).square().sum().backward()
    assert frame.grad is not None
    assert frame.grad.abs().min() > 0
    assert larger.grad is not None
    assert larger.grad.abs().min() > 0
