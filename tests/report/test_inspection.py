"""A warning is raised when structure changed more than the stated bound, and says why."""

import cv2
import numpy as np
import pytest

from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.evaluation import FrameError
from retina_adapt.report import StructureBounds, inspect_enhancement
from retina_adapt.report.quality import measured_frame


def painted(pixels: np.ndarray, vessels: np.ndarray) -> np.ndarray:
    return pixels * (1 - 0.4 * cv2.GaussianBlur(vessels.astype(np.float32), (0, 0), 1))[:, :, None]


def test_a_perfect_correction_of_light_raises_no_warning(fundus):
    pixels, _, mask = fundus
    dim = apply_degradation(pixels, mask, draw_degradation("light", seed=3))
    inspection = inspect_enhancement(dim, pixels, mask)
    assert not inspection.reasons
    assert inspection.uncertainty is None
    assert inspection.mean_change > 0


@pytest.mark.parametrize("harm", ["lost", "painted"])
def test_lost_and_made_up_vessels_raise_one_with_numbers(fundus, other_fundus, harm):
    pixels, _, mask = fundus
    after = cv2.GaussianBlur(pixels, (0, 0), 8) if harm == "lost" else painted(pixels, other_fundus[1])
    reasons = inspect_enhancement(pixels, after, mask).reasons
    expected = "are lost; the bound is 15 %" if harm == "lost" else "no trace in the input; the bound is 6 %"
    assert any(expected in reason for reason in reasons)


def test_the_bounds_decide(fundus, other_fundus):
    pixels, _, mask = fundus
    after = painted(pixels, other_fundus[1])
    assert not inspect_enhancement(pixels, after, mask, bounds=StructureBounds(lost=1, untraced=1)).reasons


def test_an_input_without_vessels_cannot_be_checked_and_says_so():
    flat = np.full((120, 120, 3), 0.4, np.float32)
    inspection = inspect_enhancement(flat, flat, np.ones((120, 120), bool))
    assert "cannot be checked" in inspection.reasons[0]
    assert inspection.kept is None


def test_versions_give_an_uncertainty_map_at_the_measured_size(fundus):
    pixels, _, mask = fundus
    large, large_mask = cv2.resize(pixels, (600, 600)), cv2.resize(mask.astype(np.uint8), (600, 600)).astype(bool)
    versions = [large, np.clip(large + 0.02, 0, 1).astype(np.float32)]
    inspection = inspect_enhancement(
        large, large, large_mask, versions=[measured_frame(version, large_mask)[0] for version in versions]
    )
    assert inspection.uncertainty.shape == inspection.mask.shape == (533, 533)
    assert 0 < inspection.mean_uncertainty < 0.02


def test_a_result_of_another_size_is_an_error(fundus):
    pixels, _, mask = fundus
    with pytest.raises(FrameError, match="shape"):
        inspect_enhancement(pixels, pixels[:-1], mask)
