"""Cropping to the field of view and back: exact geometry, no black surround left for a network to learn."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retina_adapt.imaging import FieldOfView, SquareCrop, find_field_of_view, resize, resize_mask
from retina_adapt.imaging.synthetic_fundus import draw_fundus


def disc(height: int, width: int, center_x: float, center_y: float, radius: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (x - center_x) ** 2 + (y - center_y) ** 2 <= radius**2


@st.composite
def frames_with_field_of_view(draw) -> tuple[np.ndarray, np.ndarray]:
    """Noise pixels of any small size, and a disc that may leave the frame on any side."""
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    center_x, center_y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    mask = disc(height, width, center_x, center_y, draw(st.floats(0.0, 50.0)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random.random((height, width, draw(st.sampled_from([1, 3]))), dtype=np.float32), mask


@settings(deadline=None)
@given(frames_with_field_of_view())
def test_restoring_what_was_extracted_changes_no_bit(frame):
    pixels, mask = frame
    crop = SquareCrop.around(FieldOfView(mask, None))
    np.testing.assert_array_equal(crop.restore(crop.extract(pixels), onto=pixels), pixels)


@settings(deadline=None)
@given(frames_with_field_of_view())
def test_restoring_changes_every_pixel_of_the_field_of_view_and_no_other(frame):
    pixels, mask = frame
    crop = SquareCrop.around(FieldOfView(mask, None))
    square = np.full((crop.side, crop.side, pixels.shape[2]), 2.0, dtype=np.float32)
    restored = crop.restore(square, onto=pixels)
    assert (restored[mask] == 2.0).all()
    np.testing.assert_array_equal(restored[~mask], pixels[~mask])


@settings(deadline=None)
@given(frames_with_field_of_view())
def test_the_square_is_filled_with_tissue_only(frame):
    _, mask = frame
    tissue = np.where(mask[:, :, None], 1.0, np.nan).astype(np.float32)
    square = SquareCrop.around(FieldOfView(mask, None)).extract(tissue)
    assert square.shape[0] == square.shape[1]
    assert (square == 1.0).all()


@settings(deadline=None)
@given(frames_with_field_of_view())
def test_the_square_is_the_smallest_that_holds_the_field_of_view(frame):
    _, mask = frame
    crop = SquareCrop.around(FieldOfView(mask, None))
    in_square = crop.extract_mask(mask)
    assert in_square.shape == (crop.side, crop.side)
    assert in_square.sum() == mask.sum()
    assert in_square.any(axis=1).all() or in_square.any(axis=0).all()


def test_cropping_leaves_the_photograph_as_it_was():
    pixels = np.random.default_rng(0).random((40, 30, 3), dtype=np.float32)
    before = pixels.copy()
    crop = SquareCrop.around(FieldOfView(disc(40, 30, 15, 20, 12), None))
    crop.restore(np.zeros_like(crop.extract(pixels)), onto=pixels)
    np.testing.assert_array_equal(pixels, before)


def test_a_full_frame_is_padded_by_border_reflection():
    pixels = np.random.default_rng(0).random((20, 30, 3), dtype=np.float32)
    square = SquareCrop.around(find_field_of_view(pixels, name="noise", field_of_view="full_frame")).extract(pixels)
    np.testing.assert_array_equal(square, np.pad(pixels, ((5, 5), (0, 0), (0, 0)), mode="reflect"))


def test_no_edge_is_left_where_the_dark_surround_began():
    pixels, _, _ = draw_fundus(seed=1, size=256)
    square = SquareCrop.around(find_field_of_view(pixels, name="drawn")).extract(pixels)
    corner = square.shape[0] // 12
    darkest_corner = min(
        square[rows, columns, 0].mean()
        for rows in (slice(corner), slice(-corner, None))
        for columns in (slice(corner), slice(-corner, None))
    )
    assert darkest_corner > 0.5 * square[:, :, 0].mean()


@pytest.mark.parametrize("reach", [1, 5, 12])
def test_a_short_reach_fills_the_rim_as_a_full_one_does(reach):
    pixels = np.random.default_rng(0).random((90, 120, 3), dtype=np.float32) + 0.1
    crop = SquareCrop.around(FieldOfView(disc(90, 120, 60, 40, 38), None))
    filled, partly = crop.extract(pixels), crop.extract(pixels, reach=reach)
    distance = cv2.distanceTransform((~crop.extract_mask(crop.mask)).astype(np.uint8), cv2.DIST_L2, 5)
    np.testing.assert_array_equal(partly[distance <= reach], filled[distance <= reach])
    assert not np.array_equal(partly, filled)


def test_an_empty_field_of_view_cannot_be_cropped_to():
    with pytest.raises(ValueError, match="empty"):
        SquareCrop.around(FieldOfView(np.zeros((4, 4), dtype=bool), None))


def test_pixels_of_another_frame_are_refused():
    crop = SquareCrop.around(FieldOfView(np.ones((4, 6), dtype=bool), None))
    with pytest.raises(ValueError, match="made for a frame"):
        crop.extract(np.zeros((6, 4, 3), dtype=np.float32))
    with pytest.raises(ValueError, match="square has shape"):
        crop.restore(np.zeros((5, 5, 3), dtype=np.float32), onto=np.zeros((4, 6, 3), dtype=np.float32))


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))
def test_resizing_to_the_same_size_changes_nothing(height, width, channels):
    pixels = np.random.default_rng(0).random((height, width, channels), dtype=np.float32)
    np.testing.assert_array_equal(resize(pixels, height, width), pixels)


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 3]))
def test_resizing_keeps_channels_range_and_flat_areas(height, width, channels):
    resized = resize(np.full((23, 31, channels), 0.25, dtype=np.float32), height, width)
    assert resized.shape == (height, width, channels)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, 0.25, atol=1e-5)


def test_shrinking_averages_instead_of_aliasing():
    stripes = np.zeros((60, 60, 1), dtype=np.float32)
    stripes[:, ::2] = 1.0
    np.testing.assert_allclose(resize(stripes, 20, 15), 0.5, atol=1e-6)


def test_enlarging_stays_within_the_value_range():
    step = np.zeros((8, 8, 1), dtype=np.float32)
    step[:, 4:] = 1.0
    enlarged = resize(step, 64, 64)
    assert enlarged.min() == 0.0
    assert enlarged.max() == 1.0


def test_a_resized_mask_keeps_its_share_of_the_frame():
    mask = disc(300, 300, 150, 150, 100)
    for size in (75, 211, 600):
        assert resize_mask(mask, size, size).mean() == pytest.approx(mask.mean(), rel=0.03)
