"""Every kind of input comes back as it was but for its enhanced tissue; what cannot be is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from toy_adaptors import METADATA, config_of, disturb

from retina_adapt.adaptors import (
    AdaptorArithmeticError,
    ResidualAdaptorConfig,
    attach_adaptor,
    backbone_tensors,
    save_adaptor,
)
from retina_adapt.backbones import (
    AdaptedBackboneError,
    ReconstructionBackbone,
    SamplingStepsError,
    fingerprint_tensors,
)
from retina_adapt.enhancement import EnhancementInputError, Enhancer
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import FieldOfViewError, Photograph, find_field_of_view
from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.fixture
def enhancer(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Enhancer:
    """With an adaptor that changes the picture."""
    adapted = attach_adaptor(toy_backbone, config_of("residual"), "made")
    disturb(adapted, "made")
    save_adaptor(adapted, "made", tmp_path / "made", METADATA)
    adapted.unload()
    enhancer = Enhancer(toy_backbone)
    enhancer.load_adaptor(tmp_path / "made")
    return enhancer


def wide_frame() -> np.ndarray:
    """A drawn fundus of 300 px in the middle of a frame of 300 x 450: far larger than the toy backbone's frames."""
    return np.pad(draw_fundus(5, 300)[0], ((0, 0), (75, 75), (0, 0)))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    channels=st.sampled_from([None, 1, 3]),
    dtype=st.sampled_from(["uint8", "uint16", "float16", "float32", "float64"]),
    seed=st.integers(0, 99),
)
def test_any_array_under_any_mask_keeps_its_shape_its_type_and_what_lies_outside(
    height: int, width: int, channels: int | None, dtype: str, seed: int, enhancer: Enhancer
) -> None:
    random = np.random.default_rng(seed)
    values = random.random((height, width) if channels is None else (height, width, channels))
    peak = np.iinfo(dtype).max if dtype.startswith("uint") else 1
    array = (values * peak).astype(dtype)
    mask = random.random((height, width)) < 0.5
    mask[height // 2, width // 2] = True
    enhanced = enhancer(array, mask=mask)
    assert (enhanced.shape, enhanced.dtype) == (array.shape, array.dtype)
    assert np.array_equal(enhanced[~mask], array[~mask])
    assert enhanced.min() >= 0
    assert enhanced.max() <= peak


def test_mistaken_arguments_are_told_what_is_meant(enhancer: Enhancer) -> None:
    pictures = [np.full((40, 40, 3), 0.5), np.full((40, 40, 3), 0.5)]
    with pytest.raises(EnhancementInputError, match=r"no option 'maks'.*name; did you mean 'mask'"):
        enhancer(pictures[0], maks=None)
    with pytest.raises(EnhancementInputError, match="a list of masks, one for each"):
        enhancer(pictures, mask=np.ones((40, 40), dtype=bool))
    assert len(enhancer(pictures, mask=np.ones((2, 40, 40), dtype=bool))) == 2
    with pytest.raises(EnhancementInputError, match=r"not a dict; give EnhancementSettings"):
        enhancer.enhance(pictures[0], {"mode": "fast"})
    with pytest.raises(EnhancementInputError, match="device 'gpu' cannot be used"):
        Enhancer.from_pretrained(device="gpu")
    with pytest.raises(AdaptorArithmeticError, match="weight of 'made' is 'much'; give a finite number"):
        enhancer.set_adaptor_weights({"made": "much"})


def test_a_backbone_with_adaptors_has_no_fingerprint_but_its_tensors_do(enhancer: Enhancer) -> None:
    with pytest.raises(AdaptedBackboneError, match="take its fingerprint before"):
        enhancer.backbone.fingerprint()
    found = fingerprint_tensors(backbone_tensors(enhancer.backbone))
    enhancer.delete_adaptor("made")
    assert enhancer.backbone.fingerprint() == found


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_a_frame_larger_than_the_networks_changes_in_the_field_of_view_only(enhancer: Enhancer, dtype: str) -> None:
    pixels = wide_frame().astype(np.float64)
    array = (pixels * 255).astype(np.uint8) if dtype == "uint8" else np.clip(pixels + 1e-9, 0, 1)
    enhanced = enhancer(array)
    in_unit_range = array.astype(np.float32) / (255 if dtype == "uint8" else 1)
    inside = find_field_of_view(in_unit_range, name="drawn").mask
    assert np.array_equal(enhanced[~inside], array[~inside])
    assert np.mean(enhanced[inside] != array[inside]) > 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_without_an_adaptor_a_grey_array_comes_back_bit_for_bit(enhancer: Enhancer, dtype: str) -> None:
    enhancer.set_adaptor(None)
    grey = np.random.default_rng(1).random((70, 50)).astype(dtype)
    assert np.array_equal(enhancer(grey, field_of_view="full_frame"), grey)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_pil_image_keeps_its_opacity(enhancer: Enhancer, mode: str) -> None:
    image = Image.fromarray((wide_frame() * 255).astype(np.uint8)).convert(mode)
    opacity = Image.linear_gradient("L").resize(image.size)
    image.putalpha(opacity)
    enhanced = enhancer(image)
    assert (enhanced.mode, enhanced.size) == (mode, image.size)
    assert np.array_equal(np.asarray(enhanced.getchannel("A")), np.asarray(opacity))
    assert not np.array_equal(np.asarray(enhanced), np.asarray(image))


def test_a_transparent_surround_is_no_tissue_although_white_underneath(enhancer: Enhancer) -> None:
    pixels, _, inside = draw_fundus(seed=1, size=96)
    white = np.where(inside[:, :, None], pixels, np.float32(1))
    photograph = Photograph(white, alpha=inside.astype(np.float32))
    image = Image.fromarray((np.dstack([white, photograph.alpha]) * 255).astype(np.uint8))
    expected = find_field_of_view(pixels).mask
    for each in (photograph, image):
        found = enhancer.enhance(each).field_of_view.mask
        assert np.mean(found == expected) > 0.99


def test_a_pil_image_keeps_its_orientation_and_colour_profile(enhancer: Enhancer) -> None:
    image = Image.fromarray((wide_frame() * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info = {"exif": exif.tobytes(), "icc_profile": b"profile"}
    enhanced = enhancer(image)
    assert enhanced.getexif()[0x0112] == 6
    assert enhanced.info["icc_profile"] == b"profile"


@pytest.mark.parametrize("mode", ["I;16", "P", "CMYK", "F"])
def test_a_pil_image_that_would_lose_bits_or_colours_is_refused(enhancer: Enhancer, mode: str) -> None:
    with pytest.raises(EnhancementInputError, match="read_photograph"):
        enhancer(Image.new(mode, (90, 90)))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((9, 9, 3), 200.0), r"must lie in \[0, 1\]"),
        (np.full((9, 9, 3), -0.1), r"must lie in \[0, 1\]"),
        (np.full((9, 9, 3), np.nan), r"must lie in \[0, 1\]"),
        (np.zeros((0, 9, 3), np.uint8), "is no image"),
        (np.zeros((2, 9, 9, 3), np.uint8), "is no image"),
        (np.zeros((9, 9, 3), bool), "bool cannot be enhanced"),
        ("photograph.png", "a str cannot be enhanced"),
        (torch.zeros(9, 8, 3), r"a tensor of shape \(9, 8, 3\) is no image; use \(channels, height, width\)"),
    ],
)
def test_arrays_that_cannot_be_used_are_errors(enhancer: Enhancer, array: object, message: str) -> None:
    with pytest.raises(EnhancementInputError, match=message):
        enhancer(array, field_of_view="full_frame")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"field_of_view": "square"}, EnhancementInputError, "no field_of_view 'square'"),
        ({"steps": 2.0, "mode": "diffusion"}, EnhancementInputError, r"steps is 2\.0; it must be a whole number"),
        ({"batch_size": "4"}, EnhancementInputError, "batch_size is '4'; it must be a whole number"),
        ({"seed": 1.5}, EnhancementInputError, r"seed is 1\.5; it must be a whole number"),
        ({"steps": 5000, "mode": "diffusion"}, SamplingStepsError, "5000 sampling steps.*can be 1 to 250"),
    ],
)
def test_options_that_cannot_be_used_are_errors(
    enhancer: Enhancer, options: dict, error: type[RetinaAdaptError], message: str
) -> None:
    with pytest.raises(error, match=message):
        enhancer(wide_frame(), **options)


def test_a_mask_of_another_size_is_an_error_with_the_photographs_name(enhancer: Enhancer) -> None:
    with pytest.raises(FieldOfViewError, match=r"eye\.png"):
        enhancer(wide_frame(), mask=np.ones((3, 3), bool), name="eye.png")


def test_deleting_an_adaptor_of_other_hook_points_leaves_their_modules_as_they_were(
    enhancer: Enhancer, tmp_path: Path
) -> None:
    enhancer.delete_adaptor("made")
    encoder_only = Enhancer(enhancer.backbone)
    plain = [name for name, _ in encoder_only.backbone.named_modules()]
    for name, groups in (("light", ["encoder"]), ("haze", ["decoder"])):
        adapted = attach_adaptor(encoder_only.backbone, ResidualAdaptorConfig(hook_groups=groups), name)
        save_adaptor(adapted, name, tmp_path / name, METADATA)
        adapted.unload()
    encoder_only.load_adaptor(tmp_path / "light")
    with_encoder = [name for name, _ in encoder_only.backbone.named_modules()]
    encoder_only.load_adaptor(tmp_path / "haze")
    encoder_only.delete_adaptor("haze")
    assert [name for name, _ in encoder_only.backbone.named_modules()] == with_encoder
    encoder_only.delete_adaptor("light")
    assert [name for name, _ in encoder_only.backbone.named_modules()] == plain


def test_grey_and_color_pictures_share_a_call(enhancer: Enhancer) -> None:
    color = wide_frame()
    grey = color[..., 1]
    together = enhancer([color, grey, color], batch_size=2)
    for picture, result in zip((color, grey, color), together, strict=True):
        assert np.abs(result - enhancer(picture)).max() < 1e-4


def test_a_long_strip_is_refused_before_the_square_around_it_is_made(enhancer: Enhancer) -> None:
    """Whose 40,000 x 40,000 pixels would take 19 GB."""
    with pytest.raises(FieldOfViewError, match="leave such strips out"):
        enhancer(np.full((2, 40_000, 3), 0.5, np.float32), field_of_view="full_frame")
