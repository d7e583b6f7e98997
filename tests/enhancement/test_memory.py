"""Where memory runs out: smaller batches, then smaller tiles, then an error that says what to do."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from retina_adapt.enhancement import EnhancementMemoryError, EnhancementSettings, Enhancer
from retina_adapt.imaging.synthetic_fundus import draw_fundus

FRAME = 64
Limit = Callable[[int], None]


@pytest.fixture
def limit(toy_enhancer: Enhancer) -> Limit:
    """Lets the network's first convolution see at most so many frames' worth of pixels, as a device's memory would."""
    first = next(module for module in toy_enhancer.backbone.modules() if isinstance(module, nn.Conv2d))
    seen: list[int] = []
    allowed = {"pixels": None}

    def refuse(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].numel())
        if allowed["pixels"] is not None and inputs[0].numel() > allowed["pixels"]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    first.register_forward_pre_hook(refuse)
    toy_enhancer(np.zeros((FRAME, FRAME, 3), np.uint8), field_of_view="full_frame")
    one_frame = seen[0]

    def to(frames: int) -> None:
        allowed["pixels"] = frames * one_frame

    return to


@pytest.fixture
def low() -> np.ndarray:
    return draw_fundus(1, 200)[0].astype(np.float32)


def test_a_batch_is_halved_until_it_fits(toy_enhancer: Enhancer, limit: Limit, low: np.ndarray) -> None:
    settings = EnhancementSettings(detail="tiles", batch_size=5)
    whole = toy_enhancer.enhance(low, settings)
    limit(1)
    halved = toy_enhancer.enhance(low, settings)
    assert halved.tile_size == whole.tile_size == FRAME
    assert halved.image == pytest.approx(whole.image, abs=1e-4)


def test_a_tile_that_does_not_fit_by_itself_becomes_smaller_and_the_result_says_so(
    toy_enhancer: Enhancer, limit: Limit, low: np.ndarray
) -> None:
    limit(2)  # a tile of 128 px is four frames
    result = toy_enhancer.enhance(low, EnhancementSettings(detail="tiles", tile_size=2 * FRAME))
    assert result.tile_size == FRAME
    asked_for = toy_enhancer.enhance(low, EnhancementSettings(detail="tiles", tile_size=FRAME))
    assert np.array_equal(result.image, asked_for.image)


@pytest.mark.parametrize(("mode", "expected"), [("fast", 68), ("diffusion", 64)])
def test_a_smaller_tile_is_one_that_every_part_of_the_backbone_can_divide(
    mode: str, expected: int, toy_enhancer: Enhancer, limit: Limit, low: np.ndarray
) -> None:
    limit(2)
    settings = EnhancementSettings(mode=mode, steps=1 if mode == "diffusion" else None, detail="tiles", tile_size=136)
    assert toy_enhancer.enhance(low, settings).tile_size == expected


def test_where_not_even_a_frame_fits_the_error_names_a_remedy(
    toy_enhancer: Enhancer, limit: Limit, low: np.ndarray
) -> None:
    limit(0)
    with pytest.raises(EnhancementMemoryError, match="the device cpu"):
        toy_enhancer(low)


def test_other_errors_of_the_network_are_not_taken_for_a_lack_of_memory(
    toy_enhancer: Enhancer, low: np.ndarray
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("expected scalar type Half")

    first = next(module for module in toy_enhancer.backbone.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="scalar type"):
        toy_enhancer(low)
