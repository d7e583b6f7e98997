"""Drawn fundus photographs: deterministic, varied, and optically what enhancement is tested on."""

import numpy as np
import pytest

from retina_adapt.imaging import find_field_of_view
from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.fixture(scope="module", params=[0, 1, 2])
def fundus(request):
    return draw_fundus(request.param, size=256)


def test_the_same_seed_draws_the_same_bits():
    for first, second in zip(draw_fundus(5, size=128), draw_fundus(5, size=128), strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_seed_draws_another_eye():
    _, first_vessels, _ = draw_fundus(5, size=128)
    _, second_vessels, _ = draw_fundus(6, size=128)
    in_both = np.sum(first_vessels & second_vessels) / np.sum(first_vessels | second_vessels)
    assert in_both < 0.5


def test_pixels_and_masks_follow_the_conventions_of_imaging(fundus):
    pixels, vessel_mask, field_of_view_mask = fundus
    assert pixels.shape == (256, 256, 3)
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0.0
    assert pixels.max() <= 1.0
    assert vessel_mask.dtype == field_of_view_mask.dtype == bool
    assert not (vessel_mask & ~field_of_view_mask).any()


def test_the_field_of_view_that_was_drawn_is_found(fundus):
    pixels, _, field_of_view_mask = fundus
    found = find_field_of_view(pixels, name="drawn").mask
    assert np.sum(found & field_of_view_mask) / np.sum(found | field_of_view_mask) > 0.97


def test_vessels_cover_as_much_of_the_retina_as_in_photographs(fundus):
    _, vessel_mask, field_of_view_mask = fundus
    assert 0.05 < vessel_mask.sum() / field_of_view_mask.sum() < 0.17


def test_vessels_are_darker_in_green_than_the_tissue_beside_them(fundus):
    pixels, vessel_mask, field_of_view_mask = fundus
    beside = field_of_view_mask & ~vessel_mask
    assert pixels[vessel_mask, 1].mean() < 0.85 * pixels[beside, 1].mean()


def test_the_retina_is_red_before_green_before_blue(fundus):
    pixels, _, field_of_view_mask = fundus
    red, green, blue = pixels[field_of_view_mask].mean(axis=0)
    assert red > 1.3 * green > 1.3 * blue


def test_left_and_right_eyes_are_both_drawn():
    def disc_side(seed: int) -> float:
        pixels, _, _ = draw_fundus(seed, size=128)
        columns = np.nonzero(pixels[:, :, 2] > np.quantile(pixels[:, :, 2], 0.995))[1]
        return np.sign(columns.mean() - 64)

    assert {disc_side(seed) for seed in range(8)} == {-1.0, 1.0}
