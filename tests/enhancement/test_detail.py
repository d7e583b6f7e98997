"""Detail finer than the frame: from the photograph, with the gain that the network gave to its surroundings."""

import numpy as np
import pytest

from retina_adapt.enhancement.detail import SmallChange, local_gain
from retina_adapt.enhancement.resampling import shrink
from retina_adapt.imaging import resize
from retina_adapt.imaging.synthetic_fundus import draw_fundus

SIDE, SMALL = 384, 96


def large_fundus() -> np.ndarray:
    """A drawn fundus with detail of one pixel, which no small copy shows."""
    fundus = draw_fundus(4, SIDE)[0].astype(np.float32)
    texture = np.random.default_rng(0).standard_normal((SIDE, SIDE, 1)).astype(np.float32)
    return (fundus * (1 + 0.1 * texture)).clip(0, 1)


def error_at_full_size(low: np.ndarray, high: np.ndarray, *, follow_detail: bool) -> float:
    """Root mean square error where a network finds the very change that is needed, in its small copy."""
    small_low = resize(low, SMALL, SMALL)
    small = SmallChange(small_low, shrink(high, SMALL) - small_low, follow_detail)
    enhanced = low + small.at_rows(low, SIDE, 0, SIDE)
    return float(np.sqrt(np.mean((enhanced - high) ** 2)))


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda high: 0.3 * high, id="too dark"),
        pytest.param(lambda high: 0.5 * high + 0.4, id="hazy"),
        pytest.param(lambda high: high * np.linspace(0.3, 1, SIDE, dtype=np.float32)[:, None, None], id="uneven"),
    ],
)
def test_where_a_fault_took_contrast_guided_detail_is_at_least_twice_as_close_as_kept_detail(fault) -> None:
    high = large_fundus()
    low = fault(high)
    guided, kept = (error_at_full_size(low, high, follow_detail=follow) for follow in (True, False))
    assert guided < kept / 2


def test_where_nothing_changes_every_bit_of_the_photograph_stays() -> None:
    low = large_fundus()
    small_low = resize(low, SMALL, SMALL)
    small = SmallChange(small_low, np.zeros_like(small_low))
    assert not local_gain(small.low, small.change).any()
    assert np.array_equal(low + small.at_rows(low, SIDE, 0, SIDE), low)


def test_a_brighter_picture_of_the_same_contrast_gains_none() -> None:
    low = resize(large_fundus(), SMALL, SMALL)
    assert np.abs(local_gain(low, np.full_like(low, 0.1))).max() < 0.01


def test_a_band_is_that_part_of_the_whole_change() -> None:
    low = large_fundus()
    small_low = resize(low, SMALL, SMALL)
    small = SmallChange(small_low, small_low**2 - small_low)
    whole = small.at_rows(low, SIDE, 0, SIDE)
    part = small.at_rows(low[100:150, 30:70], SIDE, 100, 150, slice(30, 70))
    assert part == pytest.approx(whole[100:150, 30:70], abs=1e-5)
