"""Positions and lengths mean the same whatever the number of pixels."""

import numpy as np
import pytest

from retina_adapt.degradations.frame import (
    centered_coordinates,
    fit_channels,
    mean_color,
    smooth_field,
    soft_disc,
)


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 12), (12, 7), (1, 5)])
def test_coordinates_are_symmetric_about_the_center_in_units_of_the_shorter_side(height: int, width: int) -> None:
    x, y = centered_coordinates(np.zeros((height, width, 3), dtype=np.float32))
    side = min(height, width)
    assert np.allclose(x, -x[:, ::-1], atol=1e-6)
    assert np.allclose(y, -y[::-1], atol=1e-6)
    # Pixel centers: the outermost lie half a pixel inside the frame's border.
    assert x[0, -1] == pytest.approx((width - 1) / 2 / side)
    assert y[-1, 0] == pytest.approx((height - 1) / 2 / side)


def test_a_soft_disc_is_full_inside_half_at_its_radius_and_nothing_outside() -> None:
    profile = soft_disc(np.array([0.0, 0.3, 5.0]), radius=0.3, softness=0.03)
    assert profile == pytest.approx([1.0, 0.5, 0.0], abs=1e-4)


@pytest.mark.parametrize(("height", "width"), [(512, 512), (700, 515), (90, 130)])
def test_a_smooth_field_is_its_formula_at_every_pixel_up_to_the_border(height: int, width: int) -> None:
    pixels = np.zeros((height, width, 3), dtype=np.float32)

    def steepest_light(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return soft_disc(np.hypot(x - 0.1, y), 0.45, 0.028)

    exact = steepest_light(*centered_coordinates(pixels))
    assert np.abs(smooth_field(pixels, steepest_light) - exact).max() < 0.3 / 255


def test_the_mean_color_counts_only_the_field_of_view() -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.float32)
    pixels[:2] = [0.6, 0.4, 0.2]
    mask = np.zeros((4, 4), dtype=bool)
    mask[:2] = True
    assert mean_color(pixels, mask) == pytest.approx([0.6, 0.4, 0.2])


def test_a_grey_frame_takes_the_strongest_channel_of_a_color() -> None:
    assert fit_channels((0.2, 0.9, 0.5), np.zeros((2, 2, 1), dtype=np.float32)) == pytest.approx([0.9])
