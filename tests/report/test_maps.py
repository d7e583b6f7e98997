"""The maps show what was done to a photograph whose vessels are known."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retina_adapt.evaluation import FrameError
from retina_adapt.report import ReportInputError, change_map, uncertainty_map, vessel_overlay


def test_the_change_map_is_signed_and_averages_colours():
    before, after = np.full((4, 4, 3), 0.5, np.float32), np.full((4, 4, 3), 0.5, np.float32)
    after[0, 0], after[3, 3] = (0.8, 0.5, 0.5), (0.2, 0.2, 0.5)
    change = change_map(before, after)
    np.testing.assert_allclose([change[0, 0], change[3, 3], change[1, 1]], [0.1, -0.2, 0], atol=1e-6)


def test_of_an_unchanged_photograph_all_vessels_are_kept(fundus):
    pixels, _, mask = fundus
    overlay = vessel_overlay(pixels, pixels, mask)
    assert overlay.kept.any()
    assert not (overlay.new | overlay.untraced | overlay.lost).any()
    assert (overlay.kept_share, overlay.lost_share, overlay.new_share) == (1, 0, 0)


def test_painted_vessels_are_new_and_have_no_trace(fundus, other_fundus):
    pixels, _, mask = fundus
    painted = pixels * (1 - 0.4 * cv2.GaussianBlur(other_fundus[1].astype(np.float32), (0, 0), 1))[:, :, None]
    overlay = vessel_overlay(pixels, painted, mask)
    assert overlay.untraced_share > 0.1
    assert not (overlay.untraced & ~overlay.new).any()
    assert (other_fundus[1] & overlay.untraced).sum() > 0.5 * overlay.untraced.sum()


def test_vessels_that_were_only_pale_have_a_trace(fundus):
    pixels, _, mask = fundus
    haze = cv2.GaussianBlur(pixels, (0, 0), 12)
    hazy = (0.25 * pixels + 0.75 * haze).astype(np.float32)
    assert vessel_overlay(hazy, pixels, mask).untraced_share < 0.06


def test_blurred_vessels_are_lost(fundus):
    pixels, _, mask = fundus
    overlay = vessel_overlay(pixels, cv2.GaussianBlur(pixels, (0, 0), 8), mask)
    assert overlay.lost_share > 0.5
    assert overlay.kept_share == pytest.approx(1 - overlay.lost_share)


def test_a_flat_picture_has_no_vessels_and_no_shares():
    flat, mask = np.full((80, 80, 3), 0.4, np.float32), np.ones((80, 80), bool)
    overlay = vessel_overlay(flat, flat, mask)
    assert (overlay.lost_share, overlay.new_share, overlay.untraced_share) == (0, 0, 0)


@settings(deadline=None, max_examples=30)
@given(count=st.integers(2, 5), height=st.integers(1, 6), channels=st.sampled_from([1, 3]), seed=st.integers(0, 99))
def test_uncertainty_of_any_versions_is_their_deviation_and_zero_where_they_agree(count, height, channels, seed):
    versions = np.random.default_rng(seed).random((count, height, 5, channels)).astype(np.float32)
    versions[:, 0, 0] = 0.3
    uncertainty = uncertainty_map(list(versions))
    assert uncertainty.shape == (height, 5)
    assert uncertainty[0, 0] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(uncertainty, versions.std(axis=0, ddof=1).mean(axis=2), atol=1e-5)


def test_one_version_gives_no_uncertainty():
    with pytest.raises(ReportInputError, match="at least two"):
        uncertainty_map([np.zeros((4, 4, 3), np.float32)])


def test_pictures_of_different_shapes_cannot_be_compared():
    with pytest.raises(FrameError, match="shape"):
        change_map(np.zeros((4, 4, 3), np.float32), np.zeros((4, 5, 3), np.float32))
