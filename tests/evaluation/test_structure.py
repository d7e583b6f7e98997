"""Vessels are found where they are, and kept, lost and invented ones are told apart."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retina_adapt.evaluation import FrameError, vessel_agreement, vessel_map

SIDE = 256


def disc() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return x**2 + y**2 < (0.48 * SIDE) ** 2


def drawn_eye(*vessels: tuple[tuple[int, int], tuple[int, int]], channels: int = 3) -> np.ndarray:
    """An orange field, darker to one side, with straight dark vessels, given as pairs of (x, y) ends."""
    shade = np.tile(np.linspace(0.45, 0.55, SIDE, dtype=np.float32), (SIDE, 1))
    for start, end in vessels:
        cv2.line(shade, start, end, 0.35, thickness=2, lineType=cv2.LINE_AA)
    color = np.array((1.4, 1.0, 0.5) if channels == 3 else (1.0,), dtype=np.float32)
    texture = np.random.default_rng(0).normal(scale=0.002, size=shade.shape).astype(np.float32)
    return np.clip((shade + texture)[..., None] * color, 0, 1) * disc()[..., None]


UPPER = ((50, 90), (200, 100))
LOWER = ((60, 170), (190, 160))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_drawn_vessel_is_found_and_the_plain_field_and_rim_are_not(channels: int) -> None:
    found = vessel_map(drawn_eye(UPPER, channels=channels), disc())
    drawn = np.zeros((SIDE, SIDE), dtype=np.uint8)
    cv2.line(drawn, *UPPER, 1, thickness=2)
    near = cv2.dilate(drawn, np.ones((9, 9))) > 0
    assert found[drawn > 0].mean() > 0.9
    assert found[~near].mean() < 0.01
    assert found.dtype == np.bool_


def test_an_identical_image_keeps_every_vessel_and_invents_none() -> None:
    eye = drawn_eye(UPPER, LOWER)
    agreement = vessel_agreement(eye, eye, disc())
    assert (agreement.kept, agreement.lost, agreement.invented) == (1, 0, 0)


@settings(max_examples=6, deadline=None)
@given(share=st.floats(0.1, 1.0))
def test_vessels_painted_over_by_a_share_of_their_surroundings_keep_the_rest_of_their_contrast(share: float) -> None:
    eye, plain = drawn_eye(UPPER, LOWER), drawn_eye()
    assert vessel_agreement(eye, eye, disc()).contrast == pytest.approx(1)
    paler = share * eye + (1 - share) * plain
    assert vessel_agreement(paler, eye, disc()).contrast == pytest.approx(share, abs=0.02)


def test_a_missing_vessel_counts_as_lost_and_an_added_one_as_invented() -> None:
    both, upper = drawn_eye(UPPER, LOWER), drawn_eye(UPPER)
    removed = vessel_agreement(upper, both, disc())
    assert 0.3 < removed.lost < 0.7
    assert removed.kept == pytest.approx(1 - removed.lost)
    assert removed.invented < 0.05
    added = vessel_agreement(both, upper, disc())
    assert 0.3 < added.invented < 0.7
    assert added.lost < 0.05


def test_a_shift_by_one_pixel_is_forgiven_and_one_by_eight_is_not() -> None:
    (left, right), (top, bottom) = zip(*UPPER, strict=True)
    near, far = (
        vessel_agreement(drawn_eye(((left, top + shift), (right, bottom + shift))), drawn_eye(UPPER), disc())
        for shift in (1, 8)
    )
    assert near.kept > 0.95
    assert far.kept < 0.2
    assert far.invented > 0.8


@settings(max_examples=6, deadline=None)
@given(gain=st.floats(0.3, 1.0), offset=st.floats(0.0, 0.2))
def test_a_change_of_brightness_and_contrast_alone_loses_nothing(gain: float, offset: float) -> None:
    eye = drawn_eye(UPPER, LOWER)
    changed = np.clip((gain * eye + offset) * 0.8, 0, 1)
    agreement = vessel_agreement(changed, eye * 0.8, disc())
    assert agreement.kept > 0.99
    assert agreement.invented < 0.01


def test_strong_blur_loses_vessels() -> None:
    eye = drawn_eye(UPPER, LOWER)
    blurred = cv2.GaussianBlur(eye, (0, 0), 8)
    assert vessel_agreement(blurred, eye, disc()).lost > 0.8


def test_a_field_of_one_shade_has_no_vessels_and_compares_without_error() -> None:
    plain = np.full((SIDE, SIDE, 3), 0.5, dtype=np.float32)
    assert not vessel_map(plain, disc()).any()
    agreement = vessel_agreement(plain, plain, disc())
    assert (agreement.kept, agreement.lost, agreement.invented) == (1, 0, 0)


def test_a_mask_slightly_too_wide_does_not_hide_the_vessels() -> None:
    eye = drawn_eye(UPPER, LOWER)
    wide = cv2.dilate(disc().astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    center = np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE / 2)) < 0.4 * SIDE
    found, expected = vessel_map(eye, wide) & center, vessel_map(eye, disc()) & center
    assert (found & expected).sum() > 0.9 * expected.sum()


def test_vessels_do_not_depend_on_what_lies_outside_the_field_of_view() -> None:
    eye = drawn_eye(UPPER, LOWER)
    surrounded = np.where(disc()[..., None], eye, np.float32(0.9))
    np.testing.assert_array_equal(vessel_map(surrounded, disc()), vessel_map(eye, disc()))


def test_images_of_different_shape_are_refused() -> None:
    eye = drawn_eye(UPPER)
    with pytest.raises(FrameError, match="shape"):
        vessel_agreement(eye[:128, :128], eye, disc())


@pytest.mark.corpus
@pytest.mark.parametrize(("data_set", "name"), [("hrf", "09_h"), ("chase_db1", "image_07l")])
def test_found_vessels_overlap_the_observer_s(corpus: Path, data_set: str, name: str) -> None:
    [photograph] = sorted((corpus / data_set).glob(f"*/{name}.jpg"))
    pixels = cv2.imread(str(photograph))[..., ::-1].astype(np.float32) / 255
    observed = cv2.imread(str(corpus / data_set / "vessels" / f"{name}.png"), cv2.IMREAD_GRAYSCALE) > 127
    size = (384, round(384 * pixels.shape[0] / pixels.shape[1]))
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    observed = cv2.resize(observed.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    field_of_view = cv2.morphologyEx(
        (pixels.max(axis=2) > 0.12).astype(np.uint8), cv2.MORPH_OPEN, np.ones((9, 9), np.uint8)
    )
    found = vessel_map(pixels, field_of_view > 0)
    dice = 2 * (found & observed).sum() / (found.sum() + observed.sum())
    assert dice > 0.55
