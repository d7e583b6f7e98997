"""Random crops and whole frames for reconstruction."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retina_adapt.data import (
    CropSizeError,
    DegradedCrop,
    Draw,
    Flips,
    PreparedPhotograph,
    PreparedPhotographs,
    RandomCrop,
    UnpairedImages,
    WholeFrame,
)
from retina_adapt.data.unpaired import CropDegradationError, draw_window
from retina_adapt.degradations import UnknownPresetError


@pytest.fixture
def prepared(fundus_rows) -> PreparedPhotographs:
    return PreparedPhotographs(fundus_rows, 96)


def disc(size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return x**2 + y**2 < (size / 2) ** 2


@settings(max_examples=60, deadline=None)
@given(size=st.integers(16, 80), share=st.floats(0.1, 1.0), seed=st.integers(0, 2**63 - 1))
def test_any_window_lies_in_the_frame_and_half_in_the_field_of_view(size, share, seed):
    crop_size, mask = max(4, int(size * share)), disc(size)
    rows, columns = draw_window(mask, crop_size, np.random.default_rng(seed))
    side = rows.stop - rows.start
    assert crop_size <= side <= size
    assert columns.stop - columns.start == side
    assert min(rows.start, columns.start) >= 0
    assert max(rows.stop, columns.stop) <= size
    assert mask[rows, columns].mean() >= 0.5


def test_windows_cover_all_scales_and_places():
    generator, mask = np.random.default_rng(0), disc(64)
    windows = [draw_window(mask, 16, generator) for _ in range(2000)]
    sides = [rows.stop - rows.start for rows, _ in windows]
    assert min(sides) == 16
    assert max(sides) == 64
    # Octaves are equally likely: sides below 31.5 before rounding; 4 standard deviations of a share of 2000.
    below = np.log(31.5 / 16) / np.log(64 / 16)
    assert np.mean(np.array(sides) < 32) == pytest.approx(below, abs=4 * np.sqrt(0.25 / 2000))
    covered = np.zeros((64, 64), dtype=bool)
    for rows, columns in windows:
        covered[rows, columns] = True
    assert covered[mask].all()


def test_a_narrow_field_of_view_gives_the_window_that_holds_most_of_it():
    mask = np.zeros((40, 40), dtype=bool)
    mask[:, 19:21] = True
    _, columns = draw_window(mask, 20, np.random.default_rng(0))
    assert columns.start <= 19
    assert columns.stop >= 21


def test_a_crop_larger_than_the_photograph_is_an_error(prepared):
    with pytest.raises(CropSizeError, match=r"128 px.*96 px"):
        UnpairedImages(prepared, RandomCrop(128))[Draw(0, 0)]


def test_items_have_the_promised_form_and_depend_on_the_draw_alone(prepared):
    images = UnpairedImages(prepared, RandomCrop(32))
    item, same, other = images[Draw(1, 7)], images[Draw(1, 7)], images[Draw(1, 8)]
    assert item["image"].shape == (3, 32, 32)
    assert item["image"].dtype == torch.float32
    assert item["mask"].shape == (1, 32, 32)
    assert item["mask"].dtype == torch.bool
    assert all(torch.equal(item[key], same[key]) for key in item)
    assert not torch.equal(item["image"], other["image"])


def test_a_native_crop_holds_the_very_pixels_of_the_photograph(prepared):
    item = UnpairedImages(prepared, RandomCrop(96, flips=None))[Draw(2, 0)]
    np.testing.assert_array_equal(item["image"].permute(1, 2, 0), prepared[2].image)


def test_validation_shows_the_whole_frame_whatever_the_seed(prepared):
    images = UnpairedImages(prepared, WholeFrame(48))
    assert torch.equal(images[Draw(0, 1)]["image"], images[Draw(0, 2)]["image"])
    assert float(images[Draw(0, 1)]["mask"].float().mean()) == pytest.approx(np.pi / 4, abs=0.02)


def test_the_given_share_of_images_is_degraded_without_moving_their_crops(prepared):
    plain = UnpairedImages(prepared, RandomCrop(32))
    degraded = UnpairedImages(
        prepared, RandomCrop(32, degradation_probability=0.5, presets=("low_light", "low_contrast"))
    )
    changed = 0
    for seed in range(40):
        before, after = plain[Draw(0, seed)], degraded[Draw(0, seed)]
        assert torch.equal(before["mask"], after["mask"])
        changed += not torch.equal(before["image"], after["image"])
    assert 10 <= changed <= 30


def test_impossible_options_are_errors_at_once():
    with pytest.raises(UnknownPresetError):
        RandomCrop(32, degradation_probability=0.5, presets=("low_lihgt",))
    with pytest.raises(CropDegradationError, match=r"probability is 0\.5.*no degradations.*set it to 0"):
        RandomCrop(32, degradation_probability=0.5)
    for outside in (1.5, -0.1, float("nan")):
        with pytest.raises(CropDegradationError, match=rf"probability is {outside}; it must lie in \[0, 1\]"):
            RandomCrop(32, degradation_probability=outside, presets=("low_light",))


crop_sizes, probabilities, seeds = st.integers(8, 96), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 2**63 - 1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crop_size=crop_sizes, probability=probabilities, flipped=st.booleans(), index=st.integers(0, 5), seed=seeds)
def test_a_degraded_crop_holds_what_the_crop_gives_with_and_without_degradation(
    prepared, crop_size, probability, flipped, index, seed
):
    crop = RandomCrop(crop_size, Flips() if flipped else None, probability, ("low_light", "low_contrast"))
    both = UnpairedImages(prepared, DegradedCrop(crop))[Draw(index, seed)]
    clear = UnpairedImages(prepared, replace(crop, degradation_probability=0.0))[Draw(index, seed)]
    degraded = UnpairedImages(prepared, crop)[Draw(index, seed)]
    assert set(both) == {"image", "degraded", "mask", "index", "seed"}
    assert torch.equal(both["image"], clear["image"])
    assert torch.equal(both["degraded"], degraded["image"])
    assert torch.equal(both["mask"], clear["mask"])
    if probability < 0.5:
        assert torch.equal(both["degraded"], both["image"])


def test_image_and_degraded_have_one_geometry(prepared):
    # Where each pixel of the photograph stands is painted into it, and a degradation that leaves places alone is
    # exaggerated: whatever window and flips are drawn, both crops must come from the same places.
    row, column = np.mgrid[:96, :96] / 95
    places = np.stack([row, column, np.zeros_like(row)], axis=2)
    photograph = PreparedPhotograph(places.astype(np.float32), prepared[0].mask)

    class Darkened(RandomCrop):
        def degrade(self, photograph, seed):
            return photograph.image * np.float32(0.5)

    for seed in range(20):
        item = DegradedCrop(Darkened(32))(photograph, Draw(0, seed))
        torch.testing.assert_close(item["degraded"], 0.5 * item["image"])
