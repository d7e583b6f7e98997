"""Contracts 8 and 9: geometry and determinism of what a user calls."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fundus_frames import fundus_frame
from PIL import Image
from toy_adaptors import config_of

from retina_adapt.adaptors import (
    attach_adaptor,
)
from retina_adapt.backbones import load_backbone
from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.embedded import adaptor_folder, embedded_names
from retina_adapt.enhancement import EnhancementInputError, Enhancer, enhance_frames, reconstruct_frames
from retina_adapt.evaluation import score_image
from retina_adapt.imaging import FieldOfViewError, Photograph, find_field_of_view
from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.mark.parametrize("mode", ["fast", "diffusion"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_size_type_and_all_outside_the_field_of_view_stay(
    enhancer: Enhancer, mode: str, dtype: type, channels: int
) -> None:
    pixels = fundus_frame()[..., :channels]
    peak = 1 if dtype is np.float32 else np.iinfo(dtype).max
    array = (np.rint(pixels * peak) if peak > 1 else pixels).astype(dtype)
    enhanced = enhancer(array, mode=mode, steps=2 if mode == "diffusion" else None)
    assert enhanced.shape == array.shape
    assert enhanced.dtype == array.dtype
    inside = find_field_of_view(array.astype(np.float32) / peak, name="drawn").mask
    assert np.array_equal(enhanced[~inside], array[~inside])
    assert not np.array_equal(enhanced[inside], array[inside])


def test_a_pil_image_comes_back_as_one_of_the_same_mode_and_size(enhancer: Enhancer) -> None:
    image = Image.fromarray((fundus_frame() * 255).astype(np.uint8))
    for given in (image, image.convert("L")):
        enhanced = enhancer(given)
        assert (enhanced.mode, enhanced.size) == (given.mode, given.size)


def test_a_photograph_keeps_everything_but_its_pixels(enhancer: Enhancer) -> None:
    photograph = Photograph(
        pixels=fundus_frame(), bit_depth=16, icc_profile=b"profile", exif=b"Exif\0\0", source=Path("x")
    )
    enhanced = enhancer(photograph)
    assert dataclasses.replace(enhanced, pixels=photograph.pixels).__dict__ == photograph.__dict__


def test_a_full_frame_is_enhanced_up_to_its_corners(enhancer: Enhancer) -> None:
    array = np.random.default_rng(0).integers(60, 200, (90, 120, 3), dtype=np.uint8)
    enhanced = enhancer(array, field_of_view="full_frame")
    assert (enhanced[0, 0] != array[0, 0]).any() or (enhanced[-1, -1] != array[-1, -1]).any()


def test_a_given_mask_wins(enhancer: Enhancer) -> None:
    array = (fundus_frame() * 255).astype(np.uint8)
    mask = np.zeros(array.shape[:2], dtype=bool)
    mask[40:100, 60:130] = True
    enhanced = enhancer(array, mask=mask)
    assert np.array_equal(enhanced[~mask], array[~mask])
    assert not np.array_equal(enhanced[mask], array[mask])


@pytest.mark.parametrize("mode", ["fast", "diffusion"])
def test_the_same_input_seed_and_files_give_the_same_bits(
    enhancer: Enhancer, mode: str, toy_backbone_folder: Path, adaptor_folders: list[Path]
) -> None:
    again = Enhancer.from_pretrained(toy_backbone_folder)
    again.load_adaptor(adaptor_folders[0])
    frame = fundus_frame()
    assert np.array_equal(enhancer(frame, mode=mode, seed=4), again(frame, mode=mode, seed=4))


def test_another_seed_changes_the_result_of_sampling_only(enhancer: Enhancer) -> None:
    frame = fundus_frame()
    assert np.array_equal(enhancer(frame, seed=1), enhancer(frame, seed=2))
    assert not np.array_equal(enhancer(frame, mode="diffusion", seed=1), enhancer(frame, mode="diffusion", seed=2))


@pytest.mark.parametrize("mode", ["fast", "diffusion"])
def test_without_an_adaptor_the_input_comes_back_bit_for_bit(enhancer: Enhancer, mode: str) -> None:
    enhancer.set_adaptor(None)
    array = (fundus_frame() * 255).astype(np.uint8)
    assert np.array_equal(enhancer(array, mode=mode), array)


def test_an_untrained_adaptor_changes_nothing(toy_backbone_folder: Path, frames: torch.Tensor) -> None:
    backbone = load_backbone(toy_backbone_folder)
    attach_adaptor(backbone, config_of("residual"), "untrained")
    assert torch.equal(enhance_frames(backbone, frames), frames)


@pytest.mark.parametrize(("detail", "side"), [("kept", 64), ("guided", 64), ("fine", 64), ("fine", 128)])
@pytest.mark.parametrize("mode", ["fast", "diffusion"])
def test_adaptors_in_sequence_do_what_they_do_one_after_the_other(
    enhancer: Enhancer, adaptor_folders: list[Path], detail: str, side: int, mode: str
) -> None:
    """Exactly so where the network's copies hold all of the photograph."""
    enhancer.load_adaptor(adaptor_folders[1])
    frame = 0.25 + draw_fundus(3, side)[0] / 2
    options = {"mode": mode, "detail": detail, "field_of_view": "full_frame"}
    expected = frame
    for name in ("second", "first"):
        enhancer.set_adaptor(name)
        expected = enhancer(expected, **options)
    enhancer.set_adaptor_sequence(["second", "first"])
    assert enhancer.active_adaptor == "second, then first"
    in_sequence = enhancer(frame, **options)
    np.testing.assert_allclose(in_sequence, expected, atol=1e-5)
    enhancer.set_adaptor_sequence(["first", "second"])
    assert np.abs(enhancer(frame, **options) - in_sequence).max() > 1e-3


def test_a_sequence_is_applied_to_a_photograph_at_its_own_size() -> None:
    """The second adaptor sees copies that were changed, in place of copies of what was changed: nearly the same."""
    enhancer = Enhancer.from_pretrained()
    for name in ("mixed", "blur"):
        enhancer.load_adaptor(name)
    eye, _, mask = draw_fundus(0, 600)
    drawn = draw_degradation("blur", seed=1, severity=0.6)
    low = apply_degradation(eye, mask, drawn) * np.float32(0.6)
    enhancer.set_adaptor("mixed")
    first = enhancer(low)
    enhancer.set_adaptor("blur")
    step_by_step = enhancer(first)
    enhancer.set_adaptor_sequence(["mixed", "blur"])
    in_sequence = enhancer(low)
    assert np.abs(in_sequence - step_by_step)[mask].mean() < 0.5 * np.abs(step_by_step - first)[mask].mean()
    assert np.array_equal(in_sequence[~mask], low[~mask])


@pytest.mark.parametrize("reconstruct", [enhance_frames, reconstruct_frames])
def test_a_mistyped_mode_is_an_error_and_not_another_mode(
    reconstruct: Callable[..., torch.Tensor], enhancer: Enhancer, frames: torch.Tensor
) -> None:
    with pytest.raises(EnhancementInputError, match="no mode 'difusion'; use fast or diffusion"):
        reconstruct(enhancer.backbone, frames, mode="difusion")


def test_a_black_frame_is_an_error_with_the_photographs_name(enhancer: Enhancer) -> None:
    with pytest.raises(FieldOfViewError, match=r"dark\.png"):
        enhancer(np.zeros((90, 120, 3), dtype=np.uint8), name="dark.png")


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((9, 9, 4), np.uint8), {}, "is no image"),
        (np.zeros((9, 9, 3), np.int64), {}, "int64 cannot be enhanced"),
        (np.zeros((9, 9, 3), np.uint8), {"mode": "slow"}, "no mode 'slow'"),
        (np.zeros((9, 9, 3), np.uint8), {"steps": 0}, "steps is 0"),
        (np.zeros((9, 9, 3), np.uint8), {"step": 3}, "no option 'step'; known are mode, steps, .*did you mean 'steps'"),
    ],
)
def test_inputs_that_cannot_be_used_are_errors(
    enhancer: Enhancer, array: np.ndarray, options: dict, message: str
) -> None:
    with pytest.raises(EnhancementInputError, match=message):
        enhancer(array, **options)


@pytest.mark.parametrize("name", embedded_names("adaptors"))
def test_an_embedded_adaptor_fits_the_embedded_backbone_is_small_and_undoes_its_own_fault(name: str) -> None:
    assert sum(file.stat().st_size for file in adaptor_folder(name).iterdir()) < 5e6
    enhancer = Enhancer.from_pretrained()
    enhancer.load_adaptor(name)
    gains = []
    for seed in range(3):
        high, _, mask = draw_fundus(seed, 256)
        low = apply_degradation(high, mask, draw_degradation(name, seed=seed)).astype(np.float32)
        gains.append(score_image(enhancer(low, mask=mask), high, mask).psnr - score_image(low, high, mask).psnr)
    # Drawn photographs are no camera's that it was trained on.
    assert np.mean(gains) > 0
