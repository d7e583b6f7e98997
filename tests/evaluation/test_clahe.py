"""CLAHE raises local contrast inside the field of view and keeps color, precision and everything outside."""

import numpy as np
import pytest

from retina_adapt.evaluation import ClaheOptionError, FrameError, apply_clahe


def faint_stripes(channels: int = 3, side: int = 128) -> np.ndarray:
    wave = 0.4 + 0.03 * np.sin(np.arange(side) / 4)
    color = np.array((1.0, 0.6, 0.4)[:channels])
    return np.broadcast_to(wave[:, None, None] * color, (side, side, channels)).astype(np.float32)


def centered_disc(side: int = 128) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2
    return x**2 + y**2 < (0.4 * side) ** 2


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_rises_inside_and_nothing_changes_outside(channels: int) -> None:
    image, mask = faint_stripes(channels), centered_disc()
    result = apply_clahe(image, mask)
    assert result.shape == image.shape
    assert result.dtype == np.float32
    assert result[mask].std(axis=0).min() > 1.5 * image[mask].std(axis=0).min()
    np.testing.assert_array_equal(result[~mask], image[~mask])


def test_a_higher_clip_limit_gives_more_contrast() -> None:
    image, mask = faint_stripes(), centered_disc()
    mild, strong = (apply_clahe(image, mask, clip_limit=limit)[mask].std() for limit in (1.5, 6.0))
    assert strong > 1.2 * mild


def test_a_grey_image_in_three_channels_stays_grey() -> None:
    image = np.repeat(faint_stripes(1), 3, axis=2)
    result = apply_clahe(image, centered_disc())
    assert np.ptp(result, axis=2).max() < 2e-3


def test_shades_finer_than_8_bits_stay_apart() -> None:
    ramp = np.linspace(0.5, 0.52, 128, dtype=np.float32)
    image = np.broadcast_to(ramp[None, :, None], (128, 128, 3)).copy()
    result = apply_clahe(image, np.ones((128, 128), dtype=bool))
    assert len(np.unique(result[64, :, 0])) > 100


def test_the_input_is_left_as_it_was() -> None:
    image = faint_stripes()
    before = image.copy()
    apply_clahe(image, centered_disc())
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("options", [{"clip_limit": 0.0}, {"tiles": 0}])
def test_options_that_disable_the_method_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ClaheOptionError, match="positive"):
        apply_clahe(faint_stripes(), centered_disc(), **options)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(FrameError, match="mask"):
        apply_clahe(faint_stripes(), centered_disc(64))
