"""Scores agree with independent implementations and see all of the field of view and nothing else."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from retina_adapt.evaluation import FrameError, psnr_and_ssim, score_image
from retina_adapt.evaluation.metrics import PSNR_CEILING, SCALE_WEIGHTS
from retina_adapt.imaging import FieldOfView


def smooth_image(side: int = 192, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A picture with structure at every scale that MS-SSIM looks at."""
    noise = np.random.default_rng(seed)
    image = np.zeros((side, side, channels), dtype=np.float32)
    for cells in (4, 12, 48):
        grid = noise.random((cells, cells, channels)).astype(np.float32)
        block = side // cells
        image += np.kron(grid, np.ones((block, block, 1), dtype=np.float32)) / 3
    return image


def disturbed(image: np.ndarray, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(scale=0.05, size=image.shape)
    return np.clip(0.8 * image + 0.1 + noise, 0, 1).astype(np.float32)


def disc(side: int = 192) -> np.ndarray:
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    return x**2 + y**2 < (side / 2) ** 2


WHOLE_FRAME = np.ones((192, 192), dtype=bool)


def test_psnr_and_ssim_of_a_whole_frame_equal_scikit_image() -> None:
    target = smooth_image()
    result = disturbed(target)
    scores = score_image(result, target, WHOLE_FRAME)
    expected = structural_similarity(
        target.astype(np.float64),
        result.astype(np.float64),
        data_range=1,
        channel_axis=2,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    assert scores.ssim == pytest.approx(expected, abs=1e-9)
    assert scores.psnr == pytest.approx(peak_signal_noise_ratio(target, result, data_range=1), abs=1e-4)


def test_the_two_scores_of_validations_are_those_of_all_scores() -> None:
    target = smooth_image()
    scores = score_image(disturbed(target), target, disc())
    assert psnr_and_ssim(disturbed(target), target, disc()) == (scores.psnr, scores.ssim)
    with pytest.raises(FrameError):
        psnr_and_ssim(target[:-1], target, disc())


def test_ssim_in_a_disc_equals_the_mean_of_scikit_image_s_map() -> None:
    target = smooth_image() * disc()[..., None]
    result = disturbed(target) * disc()[..., None]
    _, similarity = structural_similarity(
        target.astype(np.float64),
        result.astype(np.float64),
        data_range=1,
        channel_axis=2,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )
    counted = disc()
    counted[:5] = counted[-5:] = False
    counted[:, :5] = counted[:, -5:] = False
    assert score_image(result, target, disc()).ssim == pytest.approx(similarity[counted].mean(), abs=1e-9)


def test_ms_ssim_of_a_whole_frame_equals_torchmetrics_scale_by_scale() -> None:
    # torchmetrics' own MS-SSIM counts windows across the border in its last scale only; here no scale does.
    target = smooth_image()
    result = disturbed(target)
    tensors = [torch.from_numpy(image).double().movedim(2, 0)[None] for image in (result, target)]
    product = 1.0
    for weight in SCALE_WEIGHTS[:-1]:
        _, contrast = structural_similarity_index_measure(*tensors, data_range=1.0, return_contrast_sensitivity=True)
        product *= contrast.item() ** weight
        tensors = [torch.nn.functional.avg_pool2d(tensor, 2) for tensor in tensors]
    _, similarity = structural_similarity_index_measure(*tensors, data_range=1.0, return_full_image=True)
    product *= similarity[..., 5:-5, 5:-5].mean().item() ** SCALE_WEIGHTS[-1]
    assert score_image(result, target, WHOLE_FRAME).ms_ssim == pytest.approx(product, abs=1e-6)


def test_an_identical_image_has_perfect_scores_that_json_can_hold() -> None:
    scores = score_image(smooth_image(), smooth_image(), disc())
    assert scores.psnr == PSNR_CEILING
    assert scores.ssim == pytest.approx(1)
    assert scores.ms_ssim == pytest.approx(1)
    assert scores.color_difference == pytest.approx(0, abs=1e-6)
    json.dumps(asdict(scores), allow_nan=False)


def test_color_difference_of_a_known_pair_is_the_published_value() -> None:
    # Black against white differs by 100 in lightness only, for which CIEDE2000 gives 100.
    black = np.zeros((64, 64, 3), dtype=np.float32)
    scores = score_image(black + 1, black, np.ones((64, 64), dtype=bool))
    assert scores.color_difference == pytest.approx(100, abs=0.01)
    assert scores.psnr == pytest.approx(0)


def test_a_hue_shift_costs_color_difference_though_the_luminance_is_kept() -> None:
    target = np.full((64, 64, 3), (0.6, 0.3, 0.2), dtype=np.float32)
    result = np.full((64, 64, 3), (0.2, 0.4, 0.2), dtype=np.float32)
    assert score_image(result, target, np.ones((64, 64), dtype=bool)).color_difference > 20


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), channels=st.sampled_from([1, 3]))
def test_whatever_lies_outside_the_field_of_view_changes_no_score(seed: int, channels: int) -> None:
    target = smooth_image(channels=channels)
    result = disturbed(target)
    noise = np.random.default_rng(seed).random((2, *target.shape), dtype=np.float32)
    outside = ~disc()[..., None]
    elsewhere = (np.where(outside, noise[0], result), np.where(outside, noise[1], target))
    assert score_image(*elsewhere, disc()) == score_image(result, target, disc())


@settings(max_examples=8, deadline=None)
@given(row=st.integers(40, 150), column=st.integers(40, 150))
def test_a_fault_anywhere_in_the_field_of_view_costs_every_score(row: int, column: int) -> None:
    target = smooth_image()
    result = target.copy()
    result[row : row + 6, column : column + 6] = 1 - result[row : row + 6, column : column + 6]
    scores = score_image(result, target, disc())
    assert scores.psnr < 60
    assert scores.ssim < 0.9999
    assert scores.ms_ssim < 0.9999
    assert scores.color_difference > 0


def test_a_stronger_disturbance_scores_worse_by_every_measure() -> None:
    target = smooth_image()
    noise = np.random.default_rng(0).normal(size=target.shape)
    mild, strong = (score_image(np.clip(target + amount * noise, 0, 1), target, disc()) for amount in (0.02, 0.1))
    assert mild.psnr > strong.psnr
    assert mild.ssim > strong.ssim
    assert mild.ms_ssim > strong.ms_ssim
    assert mild.color_difference < strong.color_difference


def test_a_grey_image_scores_as_its_rgb_copy_but_has_no_color_difference() -> None:
    target = smooth_image(channels=1)
    result = disturbed(target)
    grey = score_image(result, target, disc())
    rgb = score_image(result.repeat(3, axis=2), target.repeat(3, axis=2), disc())
    assert grey.color_difference is None
    assert (grey.psnr, grey.ssim, grey.ms_ssim) == pytest.approx((rgb.psnr, rgb.ssim, rgb.ms_ssim))


@pytest.mark.parametrize(("side", "defined"), [(175, False), (176, True)])
def test_ms_ssim_is_none_below_176_pixels(side: int, defined: bool) -> None:
    target = smooth_image()[:side, :side]
    scores = score_image(disturbed(target), target, np.ones((side, side), dtype=bool))
    assert (scores.ms_ssim is not None) == defined
    assert 0 < scores.ssim < 1


def test_images_of_different_shape_are_refused_with_both_shapes_named() -> None:
    with pytest.raises(FrameError, match=r"\(192, 192, 3\).*\(96, 96, 3\)"):
        score_image(smooth_image(), smooth_image(96), WHOLE_FRAME)


def test_an_empty_field_of_view_is_refused() -> None:
    with pytest.raises(FrameError, match="empty"):
        score_image(smooth_image(), smooth_image(), ~WHOLE_FRAME)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(FrameError, match="mask"):
        score_image(smooth_image(), smooth_image(), disc(96))


@pytest.mark.parametrize("value", [np.nan, np.inf, 255.0, -0.5])
def test_values_outside_zero_to_one_are_refused(value: float) -> None:
    result = smooth_image()
    result[90, 90, 1] = value
    with pytest.raises(FrameError, match="result"):
        score_image(result, smooth_image(), WHOLE_FRAME)


def test_a_frame_smaller_than_the_window_is_refused() -> None:
    tiny = smooth_image()[:10, :10]
    with pytest.raises(FrameError, match="larger frame"):
        score_image(tiny, tiny, np.ones((10, 10), dtype=bool))


def test_a_field_of_view_in_place_of_its_mask_is_told() -> None:
    found = FieldOfView(WHOLE_FRAME, None)
    with pytest.raises(FrameError, match="is a FieldOfView; give an array, such as the attribute `mask`"):
        score_image(smooth_image(), smooth_image(), found)


def test_what_is_no_array_or_has_no_pixels_is_told() -> None:
    tensor = torch.from_numpy(smooth_image())
    with pytest.raises(FrameError, match="the result is a Tensor; give a NumPy array"):
        score_image(tensor, smooth_image(), WHOLE_FRAME)
    nothing = smooth_image()[:0]
    with pytest.raises(FrameError, match=r"the result has shape \(0, 192, 3\)"):
        score_image(nothing, nothing, WHOLE_FRAME[:0])
