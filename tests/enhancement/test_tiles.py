"""Tiles cover the field of view, blend without seams, and give fine detail only."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_enlargements import enlarged

from retina_adapt.enhancement.detail import SmallChange, smooth
from retina_adapt.enhancement.tiles import blend_window, lay_tiles, seam_ratio, tiled_change
from retina_adapt.imaging import resize
from retina_adapt.imaging.synthetic_fundus import draw_fundus

SIDE, FRAME, TILE = 256, 64, 64


@settings(max_examples=60, deadline=None)
@given(side=st.integers(8, 300), tile_share=st.floats(0.1, 1), seed=st.integers(0, 99))
def test_tiles_of_any_size_cover_any_mask_and_overlap(side: int, tile_share: float, seed: int) -> None:
    tile_side = max(4, int(side * tile_share))
    mask = np.random.default_rng(seed).random((side, side)) < 0.01
    mask[side // 2, side // 3] = True
    tiles = lay_tiles(side, tile_side, mask)
    weight = np.zeros((side, side, 1))
    for tile in tiles:
        assert 0 <= tile.top <= side - tile_side
        assert 0 <= tile.left <= side - tile_side
        weight[tile.rows, tile.columns] += blend_window(tile_side)
    assert (weight[mask] > 0).all()
    tops = sorted({tile.top for tile in lay_tiles(side, tile_side, np.ones_like(mask))})
    assert all(second - first <= 0.75 * tile_side + 1 for first, second in pairwise(tops))


def test_a_tile_larger_than_the_square_is_an_error() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        lay_tiles(30, 40, np.ones((30, 30), bool))


@pytest.fixture(scope="module")
def working() -> tuple[np.ndarray, np.ndarray]:
    pixels, _, mask = draw_fundus(2, SIDE)
    return pixels.astype(np.float32), mask


def frame_change_of(working: np.ndarray) -> SmallChange:
    frame = resize(working, FRAME, FRAME)
    return SmallChange(frame, 0.4 * frame * (1 - frame))


def blended(working: np.ndarray, mask: np.ndarray, change_of_tiles) -> np.ndarray:
    return tiled_change(working, mask, frame_change_of(working), change_of_tiles, tile_side=TILE, batch_size=3)


def test_a_grey_shift_of_each_tile_does_not_reach_the_result(working: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, mask = working
    expected = frame_change_of(pixels).at_rows(pixels, SIDE, 0, SIDE)

    def shifted(tiles: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        # What statistics of a tile do: an offset and a slope of its own, far larger than the change itself.
        slope = np.linspace(-1, 1, TILE, dtype=np.float32)[None, :, None, None]
        offsets = np.random.default_rng(list(numbers)).uniform(-0.3, 0.3, (2, len(tiles), 1, 1, 1)).astype(np.float32)
        return 0.4 * tiles * (1 - tiles) + offsets[0] + offsets[1] * slope

    result = blended(pixels, mask, shifted)
    assert np.abs(result - expected)[mask].mean() < 0.02
    assert seam_ratio(result, lay_tiles(SIDE, TILE, mask), mask) < 1.1


def test_the_seam_measure_finds_tiles_that_are_set_side_by_side(working: tuple[np.ndarray, np.ndarray]) -> None:
    _, mask = working
    tiles = lay_tiles(SIDE, TILE, mask)
    smooth_change = np.add.outer(np.arange(SIDE), np.arange(SIDE))[..., None] / 1000
    side_by_side = smooth_change + np.random.default_rng(0).normal(0, 1e-3, smooth_change.shape)
    assert seam_ratio(side_by_side, tiles, mask) == pytest.approx(1, abs=0.1)
    for tile in tiles:
        side_by_side[tile.rows, tile.columns] += np.random.default_rng(tile.top + tile.left).uniform(-0.05, 0.05)
    assert seam_ratio(side_by_side, tiles, mask) > 3


def test_detail_that_only_tiles_show_is_in_the_result(working: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, mask = working
    sharpened = pixels - smooth(pixels, 1.0)

    def sharpen(tiles: np.ndarray, _: Sequence[int]) -> np.ndarray:
        return np.stack([tile - smooth(tile, 1.0) for tile in tiles])

    frame = resize(pixels, FRAME, FRAME)
    nothing = SmallChange(frame, np.zeros_like(frame))
    result = tiled_change(pixels, mask, nothing, sharpen, tile_side=TILE, batch_size=4)
    inside = mask & (np.abs(sharpened).max(axis=2) > 0.02)
    assert np.corrcoef(result[inside].ravel(), sharpened[inside].ravel())[0, 1] > 0.95


def test_tiles_that_change_nothing_leave_the_frames_change(working: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, mask = working
    result = blended(pixels, mask, lambda tiles, _: np.zeros_like(tiles))
    coarse = smooth(enlarged(frame_change_of(pixels).change, SIDE), 8.0)
    assert np.abs(result - coarse)[mask].mean() < 0.02
