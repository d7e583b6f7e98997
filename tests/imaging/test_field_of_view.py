"""Finding the field of view: any camera's, in dark and hazy photographs too, or an error that helps."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retina_adapt.imaging import (
    Circle,
    FieldOfViewError,
    find_field_of_view,
    find_photographs,
    read_photograph,
)
from retina_adapt.imaging.circle_fit import fit_circle
from retina_adapt.imaging.synthetic_fundus import draw_fundus


def disc(height: int, width: int, circle: Circle) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return circle.distance_inside(x, y) > 0


def photograph_of_disc(height: int, width: int, circle: Circle) -> np.ndarray:
    """Mottled red tissue within the circle, nearly black noise around it."""
    random = np.random.default_rng(0)
    mottles = cv2.resize(random.random((9, 9), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    tissue = (0.5 + 0.3 * mottles)[:, :, None] * np.float32([1.0, 0.5, 0.3])
    surround = 0.01 * random.random((height, width, 3), dtype=np.float32)
    return np.where(disc(height, width, circle)[:, :, None], tissue, surround).astype(np.float32)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union."""
    return float(np.sum(first & second) / np.sum(first | second))


def as_8_bit(pixels: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.float32) / 255


FULL = Circle(300, 200, 180)
CUT_AT_TOP_AND_BOTTOM = Circle(300, 195, 260)
CUT_AT_THE_SIDES = Circle(210, 205, 240)
PARTLY_OUTSIDE = Circle(80, 90, 230)


@pytest.mark.parametrize("circle", [FULL, CUT_AT_TOP_AND_BOTTOM, CUT_AT_THE_SIDES, PARTLY_OUTSIDE], ids=str)
def test_a_circle_is_found_wherever_the_sensor_cuts_it(circle):
    found = find_field_of_view(photograph_of_disc(400, 600, circle), name="drawn")
    assert found.circle.radius == pytest.approx(circle.radius, abs=1.5)
    assert found.circle.center_x == pytest.approx(circle.center_x, abs=1.5)
    assert found.circle.center_y == pytest.approx(circle.center_y, abs=1.5)
    assert overlap(found.mask, disc(400, 600, circle)) > 0.97


@settings(deadline=None, max_examples=25)
@given(
    center_x=st.floats(150, 450),
    center_y=st.floats(120, 280),
    radius=st.floats(100, 280),
    dimming=st.floats(0.06, 1),
)
def test_any_circle_is_found_within_two_pixels(center_x, center_y, radius, dimming):
    circle = Circle(center_x, center_y, radius)
    pixels = as_8_bit(dimming * photograph_of_disc(400, 600, circle))
    found = find_field_of_view(pixels, name="drawn").circle
    assert abs(found.radius - radius) < 2
    assert np.hypot(found.center_x - center_x, found.center_y - center_y) < 2


@settings(deadline=None, max_examples=25)
@given(
    center_x=st.floats(250, 350),
    center_y=st.floats(170, 230),
    radius=st.floats(120, 250),
    stretch=st.floats(0.5, 2),
    dimming=st.floats(0.06, 1),
)
def test_a_stretched_photograph_has_the_mask_of_the_original_stretched_too(
    center_x, center_y, radius, stretch, dimming
):
    circle = Circle(center_x, center_y, radius)
    pixels = as_8_bit(dimming * photograph_of_disc(400, 600, circle))
    stretched = cv2.resize(pixels, (round(600 * stretch), 400), interpolation=cv2.INTER_AREA)
    drawn = disc(400, 600, circle).astype(np.uint8)
    expected = cv2.resize(drawn, (stretched.shape[1], 400), interpolation=cv2.INTER_NEAREST).astype(bool)
    found = find_field_of_view(stretched, name="drawn").mask
    assert overlap(found, expected) > 0.96


def test_a_black_band_across_a_stretched_photograph_is_outside_the_mask():
    pixels = photograph_of_disc(400, 600, FULL)
    pixels[:60] = 0
    mask = find_field_of_view(cv2.resize(pixels, (400, 400), interpolation=cv2.INTER_AREA), name="drawn").mask
    assert not mask[:60].any()
    assert mask[64, 200]


def test_an_eyelid_over_a_stretched_photograph_is_inside_the_mask():
    pixels = photograph_of_disc(400, 600, FULL)
    y, x = np.mgrid[:400, :600]
    pixels[y > 330 + 0.1 * (x - 300) + 8 * np.sin(x / 20)] = 0
    mask = find_field_of_view(cv2.resize(pixels, (800, 400)), name="drawn").mask
    expected = cv2.resize(disc(400, 600, FULL).astype(np.uint8), (800, 400), interpolation=cv2.INTER_NEAREST)
    assert overlap(mask, expected.astype(bool)) > 0.97


def test_tissue_may_fill_a_small_part_of_the_frame():
    circle = Circle(300, 200, 82)
    assert disc(400, 600, circle).mean() < 0.09
    pixels = np.where(disc(400, 600, circle)[:, :, None], photograph_of_disc(400, 600, circle), 0).astype(np.float32)
    found = find_field_of_view(pixels, name="drawn")
    assert found.circle.radius == pytest.approx(circle.radius, abs=1.5)


def test_the_rim_itself_stays_outside_the_mask():
    pixels = photograph_of_disc(400, 600, FULL)
    mask = find_field_of_view(pixels, name="drawn").mask
    assert not (mask & ~disc(400, 600, FULL)).any()


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_black_band_that_cuts_the_disc_straight_is_outside_the_mask(side):
    band = np.zeros((400, 600), dtype=bool)
    cut = {"top": np.s_[:60], "bottom": np.s_[330:], "left": np.s_[:, :160], "right": np.s_[:, 450:]}[side]
    band[cut] = True
    pixels = photograph_of_disc(400, 600, FULL)
    pixels[band] = 0.0
    mask = find_field_of_view(pixels, name="drawn").mask
    assert not mask[band].any()
    assert overlap(mask, disc(400, 600, FULL) & ~band) > 0.96


def test_a_tab_on_the_rim_and_a_label_in_the_corner_are_outside_the_mask():
    pixels = photograph_of_disc(400, 600, FULL)
    cv2.circle(pixels, (428, 72), 14, (0.8, 0.4, 0.2), -1)
    cv2.rectangle(pixels, (0, 0), (60, 40), (1.0, 1.0, 1.0), -1)
    mask = find_field_of_view(pixels, name="drawn").mask
    assert not (mask & ~disc(400, 600, FULL)).any()


def test_dark_lesions_and_shadows_stay_inside_the_mask():
    pixels = photograph_of_disc(400, 600, FULL)
    cv2.circle(pixels, (320, 220), 60, (0.0, 0.0, 0.0), -1)
    shadow = np.clip(np.linspace(-0.4, 1.2, 600, dtype=np.float32), 0.06, 1.0)[None, :, None]
    mask = find_field_of_view(as_8_bit(pixels * shadow), name="drawn").mask
    assert overlap(mask, disc(400, 600, FULL)) > 0.97


@pytest.mark.parametrize(("gain", "haze"), [(0.1, 0.0), (0.04, 0.0), (0.5, 0.15), (0.3, 0.0)])
def test_dim_and_hazy_photographs_have_the_field_of_view_of_clear_ones(gain, haze):
    pixels, _, drawn_mask = draw_fundus(seed=3, size=384)
    found = find_field_of_view(as_8_bit(gain * pixels + haze), name="drawn").mask
    assert overlap(found, drawn_mask) > 0.97


def test_jpeg_noise_in_the_surround_does_no_harm():
    pixels, _, drawn_mask = draw_fundus(seed=4, size=384)
    _, encoded = cv2.imencode(".jpg", np.rint(255 * pixels).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 10])
    found = find_field_of_view(cv2.imdecode(encoded, cv2.IMREAD_COLOR) / np.float32(255), name="drawn").mask
    assert overlap(found, drawn_mask) > 0.97


def test_a_large_photograph_has_the_mask_of_a_small_one():
    circle = Circle(1501.0, 1002.0, 900.0)
    found = find_field_of_view(photograph_of_disc(2000, 3000, circle), name="drawn")
    assert found.mask.shape == (2000, 3000)
    assert found.circle.radius == pytest.approx(900, abs=4)
    assert overlap(found.mask, disc(2000, 3000, circle)) > 0.98


def test_grey_photographs_have_a_field_of_view_too():
    grey = photograph_of_disc(400, 600, FULL)[:, :, :1]
    assert overlap(find_field_of_view(grey, name="grey").mask, disc(400, 600, FULL)) > 0.97


def test_a_photograph_without_dark_surround_is_taken_as_full_frame():
    tissue = photograph_of_disc(200, 300, Circle(150, 100, 1000))
    found = find_field_of_view(tissue, name="smear")
    assert found.mask.all()
    assert found.circle is None


def test_a_given_mask_wins_over_what_the_photograph_shows():
    given_mask = np.zeros((400, 600), dtype=np.uint8)
    given_mask[10:20, 30:40] = 255
    found = find_field_of_view(photograph_of_disc(400, 600, FULL), name="drawn", mask=given_mask)
    np.testing.assert_array_equal(found.mask, given_mask > 0)
    assert found.mask.dtype == bool


def test_full_frame_is_full_whatever_the_photograph_shows():
    found = find_field_of_view(np.zeros((8, 9, 3), dtype=np.float32), name="black", field_of_view="full_frame")
    assert found.mask.shape == (8, 9)
    assert found.mask.all()


@pytest.mark.parametrize("shape", ["auto", "circle"])
def test_a_black_photograph_is_an_error_that_names_it_and_the_remedy(shape):
    with pytest.raises(FieldOfViewError, match=r"night\.png.*the shape full_frame.*a mask of the tissue"):
        find_field_of_view(np.zeros((60, 90, 3), dtype=np.float32), name="night.png", field_of_view=shape)


def test_an_even_grey_photograph_is_an_error():
    with pytest.raises(FieldOfViewError, match="contrast"):
        find_field_of_view(np.full((60, 90, 3), 0.5, dtype=np.float32), name="grey")


def test_a_dark_surround_without_a_circle_is_an_error():
    pixels = np.zeros((300, 400, 3), dtype=np.float32)
    pixels[80:220, 100:300] = 0.7
    with pytest.raises(FieldOfViewError, match="no circular field of view"):
        find_field_of_view(pixels, name="rectangle")


def test_a_full_frame_photograph_has_no_circle():
    with pytest.raises(FieldOfViewError, match="no circular field of view"):
        find_field_of_view(photograph_of_disc(200, 300, Circle(150, 100, 1000)), name="smear", field_of_view="circle")


@pytest.mark.parametrize(
    ("mask", "reason"), [(np.ones((5, 6), dtype=bool), "shape"), (np.zeros((6, 5), dtype=bool), "empty")]
)
def test_a_given_mask_that_cannot_be_meant_is_an_error(mask, reason):
    with pytest.raises(FieldOfViewError, match=reason):
        find_field_of_view(np.ones((6, 5, 3), dtype=np.float32), name="drawn", mask=mask)


@settings(deadline=None)
@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(20, 90), st.floats(0, 2 * np.pi), st.integers(0, 1000))
def test_a_circle_is_fitted_to_an_arc_among_stray_points(center_x, center_y, radius, start, seed):
    random = np.random.default_rng(seed)
    angle = start + random.uniform(0, 2.5, 200)
    arc = np.column_stack([center_x + radius * np.cos(angle), center_y + radius * np.sin(angle)])
    stray = random.uniform(-150, 150, (80, 2))
    fitted = fit_circle(np.concatenate([arc, stray]), 10, 100)
    assert fitted.radius == pytest.approx(radius, rel=0.01)
    assert np.hypot(fitted.center_x - center_x, fitted.center_y - center_y) < 0.01 * radius


@pytest.mark.parametrize("points", [np.zeros((2, 2)), np.column_stack([np.arange(9.0), np.arange(9.0)])])
def test_no_circle_is_fitted_to_too_few_points_or_a_line(points):
    assert fit_circle(points, 1, 100) is None


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("data_set", "least", "most"), [("hrf", 0.75, 0.87), ("chase_db1", 0.55, 0.8), ("csdi", 0.3, 0.9)]
)
def test_every_camera_of_the_corpus_gets_a_circle_of_plausible_area(corpus, data_set, least, most):
    paths = (
        find_photographs(corpus / data_set / "train")[::10] + find_photographs(corpus / data_set / "validation")[::4]
    )
    for path in paths:
        pixels = read_photograph(path).pixels
        for gain in (1.0, 0.1):
            found = find_field_of_view(as_8_bit(gain * pixels), name=str(path))
            assert found.circle is not None, path
            assert least < found.mask.mean() < most, path


@pytest.mark.corpus
@pytest.mark.parametrize("data_set", ["hrf", "chase_db1", "csdi"])
def test_photographs_of_the_corpus_squeezed_into_squares_keep_their_field_of_view(corpus, data_set):
    for path in find_photographs(corpus / data_set / "test")[::8]:
        pixels = read_photograph(path).pixels
        expected = cv2.resize(find_field_of_view(pixels).mask.astype(np.uint8), (512, 512)).astype(bool)
        square = cv2.resize(pixels, (512, 512), interpolation=cv2.INTER_AREA)
        assert overlap(find_field_of_view(square, name=str(path)).mask, expected) > 0.98, path


@pytest.mark.corpus
def test_blood_smears_of_the_corpus_are_full_frame(corpus):
    for path in find_photographs(corpus / "bccd" / "validation"):
        assert find_field_of_view(read_photograph(path).pixels, name=str(path)).mask.all(), path


@pytest.mark.parametrize("axis", [0, 1])
def test_two_eyes_in_one_picture_are_an_error_that_says_what_to_do(axis):
    eyes = np.concatenate([draw_fundus(seed, 200)[0] for seed in (1, 2)], axis=axis)
    with pytest.raises(FieldOfViewError, match=r"both.*second field of view.*--masks"):
        find_field_of_view(eyes, name="both.png")
    masked = find_field_of_view(eyes, name="both.png", mask=np.ones(eyes.shape[:2]))
    assert masked.mask.all()
