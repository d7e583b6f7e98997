"""Bands of an enlargement are parts of the whole, and a smooth picture stays what it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_enlargements import enlarged

from retina_adapt.enhancement.resampling import enlarge_rows, shrink


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 20), factor=st.floats(1, 7), seed=st.integers(0, 99), data=st.data())
def test_any_band_is_that_part_of_the_whole(size: int, factor: float, seed: int, data: st.DataObject) -> None:
    side = int(size * factor)
    square = np.random.default_rng(seed).random((size, size, 2)).astype(np.float32) - 0.5
    start = data.draw(st.integers(0, side - 1))
    stop = data.draw(st.integers(start + 1, side))
    left = data.draw(st.integers(0, side - 1))
    band = enlarge_rows(square, side, start, stop, slice(left, side))
    assert band == pytest.approx(enlarged(square, side)[start:stop, left:], abs=1e-5)


@pytest.mark.parametrize("resample", [enlarged, shrink])
def test_at_the_same_size_every_bit_stays(resample) -> None:
    square = np.random.default_rng(0).random((9, 9, 3)).astype(np.float32)
    assert np.array_equal(resample(square, 9), square)


def test_a_parabola_is_enlarged_to_the_same_parabola() -> None:
    def parabola(side: int) -> np.ndarray:
        position = (np.arange(side) + 0.5) / side
        return np.broadcast_to((position[:, None] - 0.4) ** 2, (side, side))[..., None].astype(np.float32)

    # Beside the border, where pixels are repeated, it is another curve.
    assert enlarged(parabola(32), 200)[20:-20] == pytest.approx(parabola(200)[20:-20], abs=1e-5)


def test_a_signed_square_keeps_its_mean_when_it_shrinks() -> None:
    square = np.random.default_rng(0).random((64, 64, 1)).astype(np.float32) - 0.5
    assert shrink(square, 16).mean() == pytest.approx(square.mean(), abs=1e-6)
    assert shrink(square, 16).shape == (16, 16, 1)
