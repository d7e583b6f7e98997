"""Blur and haze: spread as stated, no rim drawn inward, a veil that hides detail."""

import cv2
import numpy as np
import pytest
from drawn_fundus import draw_fundus

from retina_adapt.degradations import DrawnStep, apply_step, draw_step
from retina_adapt.degradations.optics import blur_within

SIDE = 128


@pytest.mark.parametrize("name", ["gaussian_blur", "defocus"])
def test_an_evenly_colored_field_of_view_stays_so_up_to_its_rim(name: str) -> None:
    _, mask = draw_fundus(SIDE, SIDE)
    pixels = np.where(mask[..., None], np.float32(0.6), np.float32(0)).repeat(3, axis=2)
    step = draw_step(name, generator=np.random.default_rng(0), severity=1.0)
    assert np.allclose(apply_step(pixels, mask, step)[mask], 0.6, atol=1e-4)


def test_what_lies_outside_the_mask_does_not_bleed_in() -> None:
    pixels, mask = draw_fundus(SIDE, SIDE)
    painted = np.where(mask[..., None], pixels, np.float32(1))
    step = draw_step("cataract_haze", generator=np.random.default_rng(0), severity=1.0)
    assert np.array_equal(apply_step(pixels, mask, step)[mask], apply_step(painted, mask, step)[mask])


@pytest.mark.parametrize(("name", "length"), [("gaussian_blur", "sigma"), ("defocus", "radius")])
def test_a_point_spreads_by_the_stated_share_of_the_frame(name: str, length: str) -> None:
    pixels = np.zeros((255, 255, 1), dtype=np.float32)
    pixels[127, 127] = 1.0
    step = DrawnStep(name, {length: 0.024})
    spread = apply_step(pixels, np.ones((255, 255), dtype=bool), step)[..., 0]
    offsets = np.arange(255) - 127
    deviation = np.sqrt((spread.sum(axis=0) * offsets**2).sum() / spread.sum())
    # A disc's standard deviation along one axis is half its radius.
    expected = 0.024 * 255 * (0.5 if name == "defocus" else 1.0)
    assert deviation == pytest.approx(expected, rel=0.05)


def test_gaussian_blur_and_defocus_at_one_severity_remove_about_as_much_detail() -> None:
    pixels, mask = draw_fundus(256, 256)
    changes = [
        np.abs(
            apply_step(pixels, mask, draw_step(name, generator=np.random.default_rng(0), severity=1.0)) - pixels
        ).mean()
        for name in ("gaussian_blur", "defocus")
    ]
    assert changes[0] == pytest.approx(changes[1], rel=0.2)


@pytest.mark.parametrize("sigma", [4.0, 7.0, 12.5, 23.0])
def test_a_wide_blur_of_a_shrunk_frame_equals_the_direct_one(sigma: float) -> None:
    pixels, _ = draw_fundus(300, 340)
    everywhere = np.ones((300, 340), dtype=bool)
    direct = cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    weight = cv2.GaussianBlur(np.ones((300, 340), np.float32), (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    assert np.abs(blur_within(pixels, everywhere, sigma) - direct / weight[..., None]).max() < 0.002


@pytest.mark.parametrize("radius", [6.0, 12.0, 14.0, 31.0])
def test_a_wide_disc_on_a_shrunk_frame_equals_the_direct_one(radius: float) -> None:
    pixels, mask = draw_fundus(300, 340)
    reach = int(np.ceil(radius))
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    disc = np.clip(radius + 0.5 - np.hypot(offsets[None, :], offsets[:, None]), 0.0, 1.0)
    direct, weight = (
        cv2.filter2D(planes, -1, disc / disc.sum(), borderType=cv2.BORDER_CONSTANT)
        for planes in (pixels * mask[..., None], mask.astype(np.float32))
    )
    degraded = apply_step(pixels, mask, DrawnStep("defocus", {"radius": radius / 300}))
    gap = np.abs(degraded - direct / np.maximum(weight, 1e-6)[..., None])[mask]
    assert gap.mean() < 0.1 / 255
    assert gap.max() < 2.5 / 255


@pytest.mark.parametrize("seed", range(5))
def test_haze_hides_detail_and_moves_red_retina_toward_green_and_blue(seed: int) -> None:
    pixels, mask = draw_fundus(SIDE, SIDE)
    step = draw_step("cataract_haze", generator=np.random.default_rng(seed), severity=1.0)
    degraded = apply_step(pixels, mask, step)

    def detail(image: np.ndarray) -> float:
        return (image - cv2.GaussianBlur(image, (0, 0), 4))[40:88, 40:88].std()

    assert detail(degraded) < 0.5 * detail(pixels)
    red, green, blue = degraded[mask].mean(axis=0) / pixels[mask].mean(axis=0)
    assert red < green < 2.5
    assert red < blue
