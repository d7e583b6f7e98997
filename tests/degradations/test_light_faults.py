"""Halo, hole, uneven illumination, low light, low contrast and color shift each do what their name says."""

import numpy as np
import pytest
from distances import distance_from
from drawn_fundus import draw_fundus

from retina_adapt.degradations import apply_step, draw_step

SEEDS = range(5)


def degrade(name: str, seed: int, channels: int = 3, severity: float = 1.0):
    pixels, mask = draw_fundus(128, 128, channels)
    step = draw_step(name, generator=np.random.default_rng(seed), severity=severity)
    return pixels, mask, apply_step(pixels, mask, step), step.parameters


@pytest.mark.parametrize("seed", SEEDS)
def test_a_halo_only_adds_light_and_most_of_it_in_its_ring(seed: int) -> None:
    pixels, mask, degraded, parameters = degrade("halo", seed, severity=0.3)
    added = (degraded - pixels).mean(axis=2)
    assert (added >= 0).all()
    distance = distance_from(pixels, parameters["center"])
    ring = mask & (distance > parameters["inner_radius"]) & (distance < parameters["outer_radius"])
    assert added[ring].mean() > 4 * added[mask & (distance < 0.25)].mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hole_takes_light_but_never_all_and_keeps_the_color(seed: int) -> None:
    pixels, mask, degraded, parameters = degrade("hole", seed)
    assert (degraded <= pixels).all()
    remaining = (degraded / pixels)[mask]
    assert remaining.min() > 0.1
    assert np.allclose(remaining[:, 0], remaining[:, 2], atol=1e-4)
    center = mask & (distance_from(pixels, parameters["center"]) < 0.03)
    assert (degraded / pixels)[center].mean() < 0.5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["halo", "hole", "uneven_illumination"])
def test_faults_of_illumination_have_no_edges(name: str, seed: int) -> None:
    pixels = np.full((128, 128, 1), 0.3, dtype=np.float32)
    step = draw_step(name, generator=np.random.default_rng(seed), severity=1.0)
    degraded = apply_step(pixels, np.ones((128, 128), dtype=bool), step)[..., 0]
    steepest = max(np.abs(np.diff(degraded, axis=axis)).max() for axis in (0, 1))
    assert steepest < 0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_uneven_illumination_leaves_some_light_everywhere_and_differs_between_sides(seed: int) -> None:
    pixels, mask, degraded, _ = degrade("uneven_illumination", seed)
    factor = (degraded / pixels)[mask]
    assert factor.min() > 0.1
    assert factor.max() - factor.min() > 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_low_light_at_full_severity_leaves_a_quarter_to_two_fifths(seed: int) -> None:
    pixels, mask, degraded, _ = degrade("low_light", seed)
    assert 0.25 <= degraded[mask].mean() / pixels[mask].mean() <= 0.4


@pytest.mark.parametrize("seed", SEEDS)
def test_low_contrast_keeps_the_mean_color_and_shrinks_the_deviation(seed: int) -> None:
    pixels, mask, degraded, _ = degrade("low_contrast", seed)
    assert np.allclose(degraded[mask].mean(axis=0), pixels[mask].mean(axis=0), atol=1e-4)
    assert np.allclose(degraded[mask].std(axis=0) / pixels[mask].std(axis=0), 0.25, atol=0.051)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_color_shift_changes_the_balance_of_the_channels(seed: int) -> None:
    pixels, mask, degraded, _ = degrade("color_shift", seed)
    before, after = pixels[mask].mean(axis=0), degraded[mask].mean(axis=0)
    assert np.abs(after / after.sum() - before / before.sum()).max() > 0.002


def test_a_color_shift_of_a_grey_frame_ignores_saturation_and_white_balance() -> None:
    pixels, mask = draw_fundus(64, 64, 1)
    step = draw_step("color_shift", generator=np.random.default_rng(0), severity=1.0)
    neutral = {**step.parameters, "saturation": 1.0, "white_balance": [1.0, 1.0, 1.0]}
    assert np.array_equal(apply_step(pixels, mask, step), apply_step(pixels, mask, type(step)(step.name, neutral)))
