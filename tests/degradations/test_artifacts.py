"""Spots, noise and compression: where they act, how strong they are, and what seed or quality decides."""

import cv2
import numpy as np
import pytest
from distances import distance_from
from drawn_fundus import draw_fundus

from retina_adapt.degradations import DrawnStep, apply_step, draw_step


def draw(name: str, severity: float, seed: int = 0) -> DrawnStep:
    return draw_step(name, generator=np.random.default_rng(seed), severity=severity)


def test_higher_severity_shows_more_spots_and_keeps_those_of_a_lower_one_where_they_were() -> None:
    few, many = (draw("spots", severity).parameters["spots"] for severity in (0.3, 1.0))
    assert len(few) < len(many)
    assert [spot["center"] for spot in few] == [spot["center"] for spot in many[: len(few)]]


def test_spots_change_nothing_away_from_their_centers() -> None:
    pixels, mask = draw_fundus(128, 128)
    step = draw("spots", 1.0)
    near = np.zeros_like(mask)
    for spot in step.parameters["spots"]:
        near |= distance_from(pixels, spot["center"]) < 4 * spot["radius"]
    assert np.array_equal(apply_step(pixels, mask, step)[~near], pixels[~near])
    assert (mask & ~near).any()


@pytest.mark.parametrize("center", [[0.0, 0.0], [0.3, -0.2], [-0.5, 0.5], [0.7, 0.0]])
def test_a_spot_may_lie_anywhere_even_across_the_border_of_the_frame(center: list[float]) -> None:
    pixels = np.full((60, 60, 3), 0.4, dtype=np.float32)
    spot = {"center": center, "radius": 0.05, "visibility": 1.0}
    step = DrawnStep("spots", {"color": [2.4, 2.3, 2.0], "spots": [spot]})
    changed = np.abs(apply_step(pixels, np.ones((60, 60), dtype=bool), step) - pixels).max(axis=2) > 0.05
    assert np.array_equal(changed, changed & (distance_from(pixels, center) < 0.1))
    assert changed.any() == (center != [0.7, 0.0])


def test_dust_of_one_photograph_is_all_bright_or_all_dark() -> None:
    pixels, mask = draw_fundus(128, 128)
    seen = set()
    for seed in range(20):
        difference = apply_step(pixels, mask, draw("spots", 1.0, seed)) - pixels
        seen.add(bool(difference.sum() > 0))
    assert seen == {True, False}


def test_noise_has_the_stated_strength_and_no_bias() -> None:
    pixels = np.full((256, 256, 3), 0.5, dtype=np.float32)
    step = DrawnStep("noise", {"shot": 0.08, "read": 0.02, "grain": 1 / 256, "seed": 5})
    noise = apply_step(pixels, np.ones((256, 256), dtype=bool), step) - pixels
    assert noise.std() == pytest.approx(np.sqrt(0.08**2 * 0.5 + 0.02**2), rel=0.02)
    assert abs(noise.mean()) < 0.001


def test_noise_of_another_seed_is_another_pattern_of_the_same_strength() -> None:
    pixels, mask = draw_fundus(96, 96)
    step = draw("noise", 1.0)
    other = DrawnStep("noise", {**step.parameters, "seed": step.parameters["seed"] + 1})
    first, second = (apply_step(pixels, mask, one) - pixels for one in (step, other))
    assert abs(np.corrcoef(first[mask].ravel(), second[mask].ravel())[0, 1]) < 0.05
    assert first[mask].std() == pytest.approx(second[mask].std(), rel=0.05)


def test_one_noise_record_is_one_pattern_at_two_sizes() -> None:
    step = draw("noise", 1.0)
    small, large = (np.full((side, side, 1), 0.5, dtype=np.float32) for side in (256, 512))
    at_small, at_large = (apply_step(one, np.ones(one.shape[:2], dtype=bool), step) for one in (small, large))
    halved = cv2.resize(at_large, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(halved.ravel(), at_small.ravel())[0, 1] > 0.9


def test_compression_leaves_the_values_of_an_eight_bit_file() -> None:
    pixels, mask = draw_fundus(64, 64)
    degraded = apply_step(pixels, mask, draw("jpeg_compression", 0.6))
    levels = degraded[mask] * 255
    assert np.allclose(levels, levels.round(), atol=1e-3)


def test_compression_keeps_the_order_of_the_channels() -> None:
    pixels = np.zeros((32, 32, 3), dtype=np.float32)
    pixels[..., 0] = 0.8
    degraded = apply_step(pixels, np.ones((32, 32), dtype=bool), draw("jpeg_compression", 0.5))
    assert np.abs(degraded - pixels).max() < 0.05
