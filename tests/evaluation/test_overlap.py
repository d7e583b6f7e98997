"""Overlap of vessel maps."""

import numpy as np
import pytest

from retina_adapt.evaluation import FrameError, centerline_dice, dice


def vessel(width: int, *, start: int = 30) -> np.ndarray:
    vessels = np.zeros((64, 64), dtype=bool)
    vessels[start : start + width] = True
    return vessels


def test_equal_maps_overlap_wholly_and_disjoint_ones_not_at_all() -> None:
    for measure in (dice, centerline_dice):
        assert measure(vessel(5), vessel(5)) == 1
        assert measure(vessel(3, start=5), vessel(3, start=50)) == 0
        assert measure(vessel(0), vessel(0)) == 1
        assert measure(vessel(0), vessel(3)) == 0


def test_dice_is_the_share_of_area() -> None:
    assert dice(vessel(4), vessel(4, start=32)) == pytest.approx(0.5)


def test_a_vessel_drawn_too_wide_costs_area_but_not_its_centre_line() -> None:
    assert dice(vessel(9, start=27), vessel(3)) == pytest.approx(0.5)
    assert centerline_dice(vessel(9, start=27), vessel(3)) > 0.95


def test_a_lost_thin_vessel_costs_its_length() -> None:
    expected = vessel(9, start=10) | vessel(1, start=50)
    assert dice(vessel(9, start=10), expected) > 0.94
    assert centerline_dice(vessel(9, start=10), expected) == pytest.approx(2 / 3, abs=0.05)


def test_maps_of_different_shape_are_an_error() -> None:
    for measure in (dice, centerline_dice):
        with pytest.raises(FrameError, match="one shape"):
            measure(vessel(1), np.zeros((8, 8), dtype=bool))


@pytest.mark.parametrize("white", [1, 255, 1.0])
def test_maps_as_they_are_in_a_file_are_an_error(white: float) -> None:
    as_read = np.where(vessel(5), white, 0).astype(type(white))
    for measure in (dice, centerline_dice):
        for maps in ((vessel(5), as_read), (as_read, as_read)):
            with pytest.raises(FrameError, match=r"must be bool, not (int|float)64"):
                measure(*maps)
