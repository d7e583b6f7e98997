"""Photographs far larger than the network's frame: at their own size, from file to file."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retina_adapt.enhancement import EnhancementInputError, EnhancementSettings, Enhancer, apply_at_own_size
from retina_adapt.imaging import Photograph, find_field_of_view, read_photograph, write_photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus

DETAILS = ["kept", "guided", "fine", "tiles"]


def wide_photograph(side: int, *, bit_depth: int = 8) -> Photograph:
    """A drawn fundus in a frame of 3:2, cut off at top and bottom."""
    fundus = draw_fundus(7, side)[0][side // 20 : -(side // 20)]
    margin = (fundus.shape[0] * 3 // 2 - side) // 2
    return Photograph(np.pad(fundus, ((0, 0), (margin, margin), (0, 0))).astype(np.float32), bit_depth)


def of_tiles(detail: str, working_size: int) -> dict[str, int]:
    """The working size, where there are tiles."""
    return {"working_size": working_size} if detail == "tiles" else {}


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize(("suffix", "bit_depth"), [(".png", 16), (".tif", 8), (".jpg", 8)])
def test_a_file_comes_out_at_its_own_size_and_unchanged_outside_the_field_of_view(
    detail: str, suffix: str, bit_depth: int, toy_enhancer: Enhancer, tmp_path: Path
) -> None:
    write_photograph(wide_photograph(420, bit_depth=bit_depth), tmp_path / f"low{suffix}")
    low = read_photograph(tmp_path / f"low{suffix}")
    enhancement = toy_enhancer.enhance(low, EnhancementSettings(detail=detail, **of_tiles(detail, 256)))
    write_photograph(enhancement.image, tmp_path / f"high{suffix}")
    high = read_photograph(tmp_path / f"high{suffix}")
    assert high.pixels.shape == low.pixels.shape
    assert high.bit_depth == bit_depth
    outside = ~enhancement.field_of_view.mask
    assert np.array_equal(enhancement.image.pixels[outside], low.pixels[outside])
    assert np.mean(enhancement.image.pixels != low.pixels) > 0.3
    assert enhancement.tile_size == {"kept": None, "guided": None, "fine": 128, "tiles": 64}[detail]


@pytest.mark.parametrize("mode", ["fast", "diffusion"])
@pytest.mark.parametrize("detail", DETAILS)
def test_without_an_adaptor_every_bit_stays(detail: str, mode: str, toy_enhancer: Enhancer) -> None:
    toy_enhancer.set_adaptor(None)
    low = wide_photograph(300)
    steps = 1 if mode == "diffusion" else None
    high = toy_enhancer(low, detail=detail, mode=mode, steps=steps, **of_tiles(detail, 200))
    assert np.array_equal(high.pixels, low.pixels)


@pytest.mark.parametrize("detail", DETAILS)
def test_the_same_input_and_seed_give_the_same_bits(detail: str, toy_enhancer: Enhancer) -> None:
    low = wide_photograph(260)
    once, again, other = (
        toy_enhancer(low, detail=detail, mode="diffusion", steps=1, seed=seed, **of_tiles(detail, 128)).pixels
        for seed in (1, 1, 2)
    )
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_the_size_of_batches_does_not_matter(toy_enhancer: Enhancer) -> None:
    low = wide_photograph(300)
    one, many = (toy_enhancer(low, detail="tiles", working_size=200, batch_size=size).pixels for size in (1, 5))
    assert one == pytest.approx(many, abs=1e-4)


def test_the_larger_copy_is_no_larger_than_the_photograph(toy_enhancer: Enhancer) -> None:
    low = wide_photograph(100).pixels
    given = {"field_of_view": "full_frame", "detail": "tiles"}
    assert np.array_equal(toy_enhancer(low, working_size=4096, **given), toy_enhancer(low, working_size=200, **given))


def test_a_tile_may_show_the_whole_eye_larger_than_the_frame_does(toy_enhancer: Enhancer) -> None:
    low = wide_photograph(300)
    asked = EnhancementSettings(detail="tiles", working_size=128, tile_size=128)
    enhancement = toy_enhancer.enhance(low, asked)
    assert enhancement.tile_size == 128
    assert not np.array_equal(enhancement.image.pixels, toy_enhancer(low, detail="guided").pixels)


@pytest.mark.parametrize("mode", ["fast", "diffusion"])
def test_a_photograph_between_the_frame_and_twice_its_side_is_looked_at_in_tiles_of_the_frames(
    mode: str, toy_enhancer: Enhancer
) -> None:
    low = draw_fundus(1, 93)[0]
    settings = EnhancementSettings(mode=mode, steps=1 if mode == "diffusion" else None)
    enhancement = toy_enhancer.enhance(low, settings, field_of_view="full_frame")
    assert enhancement.tile_size == 64
    assert enhancement.image.shape == low.shape


def test_of_a_photograph_no_larger_than_the_frame_all_ways_are_the_same(toy_enhancer: Enhancer) -> None:
    low = draw_fundus(1, 60)[0]
    kept, *others = (toy_enhancer(low, detail=detail, field_of_view="full_frame") for detail in DETAILS)
    assert all(np.array_equal(kept, other) for other in others)


def test_beside_photograph_and_result_the_way_back_needs_little_memory(toy_enhancer: Enhancer) -> None:
    settings = EnhancementSettings()
    low = wide_photograph(1500)
    prepared = toy_enhancer.prepare(low.pixels, settings)
    (change,) = toy_enhancer.small_changes([prepared], settings)
    tracemalloc.start()
    result = apply_at_own_size(prepared, change)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - result.nbytes < 0.5 * result.nbytes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detail": "sharp"}, "no detail 'sharp'; use kept, guided, fine or tiles"),
        ({"detail": "tiles", "tile_size": 20}, "at least 64"),
        ({"detail": "tiles", "tile_size": 65}, "multiple of 4"),
        ({"tile_size": 128}, "tile_size is 128, but the detail fine has no tiles"),
        ({"detail": "guided", "working_size": 2048}, "working_size is 2048, but the detail guided has no tiles"),
        ({"detail": "tiles", "working_size": 64}, "working_size is 64; the frame of 64 px shows as much"),
        ({"detail": "tiles", "working_size": 100, "tile_size": 128}, "tile_size is 128, more than the copy"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"precision": "float16"}, "no precision 'float16'"),
        ({"sharpness": 3}, "sharpness"),
    ],
)
def test_settings_that_cannot_be_used_are_errors(options: dict, message: str, toy_enhancer: Enhancer) -> None:
    with pytest.raises(EnhancementInputError, match=message):
        toy_enhancer(np.zeros((9, 9, 3), np.uint8), field_of_view="full_frame", **options)


def test_the_denoiser_needs_tiles_that_it_can_divide_further(toy_enhancer: Enhancer) -> None:
    low = wide_photograph(200)
    asked = EnhancementSettings(detail="tiles", tile_size=68, working_size=136)
    assert toy_enhancer.enhance(low, asked).tile_size == 68
    sampled = replace(asked, mode="diffusion", steps=1)
    with pytest.raises(EnhancementInputError, match=r"tile_size is 68; it must be a multiple of 8.*mode diffusion"):
        toy_enhancer.enhance(low, sampled)
    assert toy_enhancer.enhance(low, replace(sampled, tile_size=72)).tile_size == 72


@pytest.mark.corpus
@pytest.mark.parametrize("detail", ["guided", "tiles"])
def test_a_cameras_photograph_keeps_its_size_and_surround(detail: str, toy_enhancer: Enhancer, corpus: Path) -> None:
    path = min((corpus / "full_resolution").glob("*.jpg"))
    low = read_photograph(path)
    high = toy_enhancer(low, detail=detail, **of_tiles(detail, 512))
    inside = find_field_of_view(low.pixels, name=path.name).mask
    assert high.pixels.shape == low.pixels.shape == (2336, 3504, 3)
    assert np.array_equal(high.pixels[~inside], low.pixels[~inside])
    assert np.mean(high.pixels[inside] != low.pixels[inside]) > 0.9
