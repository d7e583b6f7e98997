"""Three ways to pairs, one kind of item."""

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retina_adapt.data import (
    Draw,
    Flips,
    MissingColumnError,
    PairingError,
    PairSource,
    PhotographSource,
    PreparationError,
    Tones,
    TrainingBatchSampler,
    degraded_pairs,
    open_pairs,
    paired_columns,
    paired_folders,
    require_apart,
)
from retina_adapt.degradations import SeverityError, UnknownPresetError
from retina_adapt.imaging import Photograph, write_photograph

SIZE = 48


@pytest.fixture
def pair_folders(tmp_path, fundus_drawings):
    """Three eyes, each also at half its brightness and with its lower half nearly black."""
    for name in ("low", "high"):
        (tmp_path / name).mkdir()
    for number in range(3):
        high = fundus_drawings[number]
        low = high * 0.5
        low[80:] *= 0.02
        write_photograph(Photograph(pixels=high), tmp_path / "high" / f"eye_{number}.png")
        write_photograph(Photograph(pixels=low), tmp_path / "low" / f"eye_{number}.tif")
    return tmp_path / "low", tmp_path / "high"


@pytest.fixture
def pairs_by_way(pair_folders, fundus_rows):
    low_folder, high_folder = pair_folders
    columns = {
        "poor": [str(path) for path in sorted(low_folder.iterdir())],
        "good": [str(path) for path in sorted(high_folder.iterdir())],
    }
    return {
        "folders": paired_folders(low_folder, high_folder, SIZE),
        "columns": paired_columns(datasets.Dataset.from_dict(columns), "poor", "good", SIZE),
        "degraded": degraded_pairs(fundus_rows, SIZE, preset="mixed"),
    }


@pytest.mark.parametrize("way", ["folders", "columns", "degraded"])
def test_all_ways_give_the_same_kind_of_item(pairs_by_way, way):
    item = pairs_by_way[way][Draw(1, 5)]
    assert set(item) == {"low", "high", "mask", "index", "seed"}
    for name in ("low", "high"):
        assert item[name].shape == (3, SIZE, SIZE)
        assert item[name].dtype == torch.float32
        assert 0 <= item[name].min() <= item[name].max() <= 1
    assert item["mask"].shape == (1, SIZE, SIZE)
    assert item["mask"].dtype == torch.bool
    assert (item["index"], item["seed"]) == (torch.tensor(1), torch.tensor(5))
    assert item["low"][:, item["mask"][0]].mean() != item["high"][:, item["mask"][0]].mean()


def test_columns_and_folders_give_the_same_pairs(pairs_by_way):
    for index in range(3):
        from_folders, from_columns = (pairs_by_way[way][Draw(index, 0)] for way in ("folders", "columns"))
        assert all(torch.equal(from_folders[key], from_columns[key]) for key in from_folders)


def test_the_low_image_is_cut_by_the_square_of_the_clear_one(pairs_by_way):
    # The low images' own field of view would be their upper half.
    item = pairs_by_way["folders"][Draw(0, 0)]
    upper = item["mask"][:, : SIZE // 2 - 1].expand(3, -1, -1)
    low, high = item["low"][:, : SIZE // 2 - 1][upper], item["high"][:, : SIZE // 2 - 1][upper]
    torch.testing.assert_close(low, high * 0.5, atol=0.02, rtol=0)


def test_pairs_of_different_frame_sizes_are_an_error_that_names_both(pair_folders):
    low_folder, high_folder = pair_folders
    write_photograph(Photograph(pixels=np.full((50, 60, 3), 0.5, dtype=np.float32)), low_folder / "eye_1.tif")
    with pytest.raises(PreparationError, match=r"1 of 3 (?s:.*)eye_1\.tif.*eye_1\.png.*one size"):
        paired_folders(low_folder, high_folder, SIZE)


def test_one_error_lists_every_file_without_partner_and_every_ambiguous_name(pair_folders):
    low_folder, high_folder = pair_folders
    (high_folder / "eye_0.png").unlink()
    (low_folder / "eye_1.tif").unlink()
    (high_folder / "again").mkdir()
    write_photograph(Photograph(pixels=np.zeros((9, 9, 3), np.float32)), high_folder / "again" / "eye_2.png")
    with pytest.raises(PairingError) as failure:
        paired_folders(low_folder, high_folder, SIZE)
    message = str(failure.value)
    assert f"{(low_folder / 'eye_0.tif').resolve()}: no partner in {high_folder}" in message
    assert f"{(high_folder / 'eye_1.png').resolve()}: no partner in {low_folder}" in message
    assert "ambiguous name 'eye_2'" in message


def test_where_both_folders_have_subfolders_a_pair_is_in_the_same_of_each(tmp_path):
    for place in ("low/meier/left.png", "low/schulz/left.png", "high/meier/left.tif", "high/schulz/left.tif"):
        (tmp_path / place).parent.mkdir(parents=True)
        shade = 0.2 if "meier" in place else 0.7
        write_photograph(Photograph(pixels=np.full((50, 60, 3), shade, dtype=np.float32)), tmp_path / place)
    pairs = paired_folders(tmp_path / "low", tmp_path / "high", SIZE, field_of_view="full_frame")
    assert len(pairs) == 2
    for index in range(2):
        item = pairs[Draw(index, 0)]
        torch.testing.assert_close(item["low"], item["high"], atol=0.01, rtol=0)
    (tmp_path / "high" / "schulz").rename(tmp_path / "high" / "weber")
    with pytest.raises(PairingError, match=r"in the same subfolder of each:(?s:.*)schulz/left\.png: no partner"):
        paired_folders(tmp_path / "low", tmp_path / "high", SIZE, field_of_view="full_frame")


def test_a_split_that_is_named_as_a_folder_is_the_same_split(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(PairingError, match="keep some pairs for validation alone"):
        require_apart(
            PairSource(clear=[PhotographSource(str(tmp_path))]),
            PairSource(low_folder="a", high_folder=str(tmp_path / "train")),
        )


def test_folders_of_pairs_may_lie_below_the_home_folder(pair_folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(paired_folders("~/low", "~/high", SIZE)) == 3


def test_one_folder_for_both_sides_of_a_pair_is_refused(pair_folders):
    low_folder, _ = pair_folders
    with pytest.raises(PairingError, match="both low_folder and high_folder"):
        open_pairs(PairSource(low_folder=str(low_folder), high_folder=f"{low_folder}/."), SIZE)


@pytest.mark.parametrize(
    ("train", "validation", "apart"),
    [
        (PairSource(low_folder="a", high_folder="b"), PairSource(low_folder="c", high_folder="./b"), False),
        (PairSource(low_folder="a", high_folder="b"), PairSource(low_folder="a", high_folder="c"), True),
        (PairSource(clear=[PhotographSource("a")]), PairSource(clear=[PhotographSource("a")]), False),
        (PairSource(clear=[PhotographSource("a")]), PairSource(clear=[PhotographSource("a", "validation")]), True),
        (
            PairSource(clear=[PhotographSource("a", where={"eye": "left"})]),
            PairSource(clear=[PhotographSource("b"), PhotographSource("a", where={"eye": "right"})]),
            True,
        ),
        (PairSource(rows=PhotographSource("a")), PairSource(rows=PhotographSource("a")), False),
        (PairSource(clear=[PhotographSource("a")]), PairSource(clear=[PhotographSource("a", limit=20)]), False),
        (PairSource(clear=[PhotographSource("~")]), PairSource(low_folder="a", high_folder="~"), False),
    ],
)
def test_validating_on_what_is_trained_on_is_refused(train, validation, apart):
    if apart:
        require_apart(train, validation)
    else:
        with pytest.raises(PairingError, match="keep some pairs for validation alone"):
            require_apart(train, validation)


def test_an_absent_column_is_an_error(fundus_rows):
    with pytest.raises(MissingColumnError, match="'low'"):
        paired_columns(fundus_rows, "low", "image", SIZE)


def test_equal_draws_give_equal_pairs_in_any_worker(fundus_rows):
    pairs = degraded_pairs(fundus_rows, SIZE, preset="mixed", flips=Flips())
    batches = TrainingBatchSampler(len(pairs), 3, steps=3, seed=1)
    here = [pairs[draw] for batch in batches for draw in batch]
    loader = torch.utils.data.DataLoader(pairs, batch_sampler=batches, num_workers=2)
    there = [{key: batch[key][place] for key in batch} for batch in loader for place in range(3)]
    assert len(here) == len(there) == 9
    for ours, theirs in zip(here, there, strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_another_seed_degrades_the_same_photograph_in_another_way(fundus_rows):
    pairs = degraded_pairs(fundus_rows, SIZE, preset="mixed")
    first, second = pairs[Draw(0, 1)], pairs[Draw(0, 2)]
    assert torch.equal(first["high"], second["high"])
    assert not torch.equal(first["low"], second["low"])


def test_severity_zero_leaves_the_photograph_bit_for_bit(fundus_rows):
    item = degraded_pairs(fundus_rows, SIZE, preset="mixed", severity=(0.0, 0.0))[Draw(0, 3)]
    assert torch.equal(item["low"], item["high"])


def test_severity_is_drawn_from_the_range_asked_for(fundus_rows):
    weak = degraded_pairs(fundus_rows, SIZE, preset="low_light", severity=(0.1, 0.2))
    strong = degraded_pairs(fundus_rows, SIZE, preset="low_light", severity=(0.8, 0.9))

    def differences(pairs):
        items = [pairs[Draw(0, seed)] for seed in range(6)]
        return [float((item["high"] - item["low"]).abs().mean()) for item in items]

    assert max(differences(weak)) < min(differences(strong))
    assert len(set(differences(weak))) > 1


def test_the_surround_of_a_degraded_photograph_shows_no_clear_tissue(fundus_rows):
    item = degraded_pairs(fundus_rows, SIZE, preset="low_light", severity=(1.0, 1.0))[Draw(0, 0)]
    outside = ~item["mask"][0]
    assert item["low"][:, outside].mean() < 0.7 * item["high"][:, outside].mean()


def test_flips_mirror_all_images_of_a_pair_alike_and_change_nothing_else(fundus_rows):
    plain = degraded_pairs(fundus_rows, SIZE, preset="light")
    flipped = degraded_pairs(fundus_rows, SIZE, preset="light", flips=Flips())
    seen = set()
    for seed in range(12):
        before, after = plain[Draw(0, seed)], flipped[Draw(0, seed)]
        axes = [axes for axes in ((), (1,), (2,), (1, 2)) if torch.equal(before["high"].flip(axes), after["high"])]
        assert len(axes) == 1
        assert torch.equal(before["low"].flip(axes[0]), after["low"])
        assert torch.equal(before["mask"].flip(axes[0]), after["mask"])
        seen.add(axes[0])
    assert len(seen) == 4


def test_a_direction_that_is_not_allowed_is_never_flipped():
    image = np.arange(4.0).reshape(2, 2)
    rows = {tuple(Flips(vertical=False).apply(seed, image)[0][:, 0]) for seed in range(20)}
    assert rows == {(0.0, 2.0), (1.0, 3.0)}


def test_a_share_of_the_photographs_is_left_clear(fundus_rows):
    def is_clear(pairs, seed):
        item = pairs[Draw(0, seed)]
        return torch.equal(item["low"], item["high"])

    pairs = degraded_pairs(fundus_rows, SIZE, preset="light", clear_share=0.25)
    untouched = sum(is_clear(pairs, seed) for seed in range(200))
    assert 30 <= untouched <= 70
    assert not any(is_clear(degraded_pairs(fundus_rows, SIZE, preset="light"), seed) for seed in range(20))
    with pytest.raises(PairingError, match=r"clear_share is 1\.5"):
        degraded_pairs(fundus_rows, SIZE, preset="light", clear_share=1.5)


@given(seed=st.integers(0, 2**32 - 1), tone=st.floats(0, 1.5), color=st.floats(0, 1.5))
def test_any_tones_keep_black_white_and_the_order_between_them(seed, tone, color):
    ramp = np.linspace(0, 1, 33, dtype=np.float32)[:, None, None].repeat(3, axis=2)
    toned = Tones(tone, color).apply(seed, ramp)
    assert toned.shape == ramp.shape
    assert toned.dtype == np.float32
    assert np.array_equal(toned[[0, -1]], ramp[[0, -1]])
    assert (np.diff(toned, axis=0) >= 0).all()
    assert np.array_equal(toned, Tones(tone, color).apply(seed, ramp))


@given(
    seed=st.integers(0, 2**32 - 1),
    balance=st.floats(0, 1.5),
    saturation=st.floats(0, 1.5),
    image=arrays(np.float32, (8, 8, 3), elements=st.floats(0, 1, width=32)),
)
def test_any_colors_stay_in_range_and_leave_gray_photographs_gray(seed, balance, saturation, image):
    tones = Tones(0.3, 0.0, balance=balance, saturation=saturation)
    toned = tones.apply(seed, image)
    assert toned.shape == image.shape
    assert toned.dtype == np.float32
    assert toned.min() >= 0
    assert toned.max() <= 1
    assert np.array_equal(toned, tones.apply(seed, image))
    gray = image[..., :1]
    of_gray = Tones(0.3, 0.0, balance=balance, saturation=saturation).apply(seed, gray)
    np.testing.assert_allclose(of_gray, Tones(0.3, 0.0).apply(seed, gray), atol=1e-6)


def test_another_white_balance_cuts_off_hardly_anything():
    photograph = np.random.default_rng(0).uniform(0.3, 0.9, (64, 64, 3)).astype(np.float32)
    toned = [Tones(0.0, 0.0, balance=2.0).apply(seed, photograph) for seed in range(20)]
    assert all((picture == 1).mean(axis=(0, 1)).max() <= 0.011 for picture in toned)
    means = np.array([picture.mean(axis=(0, 1)) for picture in toned])
    assert (means.std(axis=0) > 0.05).all()


def test_tones_vary_the_clear_photograph_and_the_degraded_one_is_made_of_it(fundus_folder):
    clear = [PhotographSource(str(fundus_folder))]
    plain = open_pairs(PairSource(clear=clear, degradation="light"), SIZE)
    toned, toned_clear = (
        open_pairs(PairSource(clear=clear, degradation="light", clear_share=share, tone_variation=0.6), SIZE)
        for share in (0.0, 1.0)
    )
    drawn = []
    for seed in range(3):
        photograph = plain[Draw(0, seed)]["high"].permute(1, 2, 0).numpy()
        item, clear_item = toned[Draw(0, seed)], toned_clear[Draw(0, seed)]
        assert np.array_equal(item["high"].permute(1, 2, 0).numpy(), Tones(0.6, 0.3).apply(seed, photograph))
        assert not torch.equal(item["low"], item["high"])
        assert not torch.equal(item["low"], plain[Draw(0, seed)]["low"])
        assert torch.equal(clear_item["low"], item["high"])
        assert torch.equal(clear_item["high"], item["high"])
        drawn.append(item["high"])
    assert not torch.equal(drawn[0], drawn[1])
    colored = open_pairs(PairSource(clear=clear, degradation="light", color_variation=0.4), SIZE)
    photograph = plain[Draw(0, 0)]["high"].permute(1, 2, 0).numpy()
    expected = Tones(0.0, 0.0, balance=0.3, saturation=0.4).apply(0, photograph)
    np.testing.assert_array_equal(colored[Draw(0, 0)]["high"].permute(1, 2, 0).numpy(), expected)
    for name in ("tone_variation", "color_variation"):
        with pytest.raises(PairingError, match=rf"{name} is -0\.1"):
            open_pairs(PairSource(clear=clear, degradation="light", **{name: -0.1}), SIZE)


@pytest.mark.parametrize(
    "given",
    [
        {"degradation": "light"},
        {"severity": [0.5, 0.5]},
        {"clear_share": 0.1},
        {"tone_variation": 0.5},
        {"color_variation": 0.5},
    ],
)
def test_what_is_done_to_clear_photographs_is_refused_for_real_pairs(given, tmp_path):
    for split in ("low", "high"):
        (tmp_path / split).mkdir()
    source = PairSource(low_folder=str(tmp_path / "low"), high_folder=str(tmp_path / "high"), **given)
    with pytest.raises(PairingError, match=f"{next(iter(given))}: for photographs of `clear` only"):
        open_pairs(source, SIZE)


def test_columns_without_rows_are_refused(fundus_folder):
    source = PairSource(clear=[PhotographSource(str(fundus_folder))], degradation="light", high_column="clear")
    with pytest.raises(PairingError, match="high_column: for `rows` only"):
        open_pairs(source, SIZE)


def test_each_photograph_of_a_pair_keeps_its_own_bit_depth(tmp_path, fundus_drawings):
    pixels = fundus_drawings[0]
    for name, bit_depth in (("low", 16), ("high", 8)):
        (tmp_path / name).mkdir()
        write_photograph(Photograph(pixels=pixels, bit_depth=bit_depth), tmp_path / name / "eye.png")
    item = paired_folders(tmp_path / "low", tmp_path / "high", 2 * max(pixels.shape))[Draw(0, 0)]
    levels = {key: 255 * item[key].double() for key in ("low", "high")}
    assert (levels["high"] - levels["high"].round()).abs().max() < 1e-3
    assert (levels["low"] - levels["low"].round()).abs().max() > 0.1


def test_an_unknown_preset_or_severity_is_an_error_before_anything_is_prepared(fundus_rows):
    with pytest.raises(UnknownPresetError):
        degraded_pairs(fundus_rows, SIZE, preset="mixd")
    with pytest.raises(SeverityError):
        degraded_pairs(fundus_rows, SIZE, preset="mixed", severity=(0.5, 1.5))


def test_the_field_of_view_of_pairs_may_be_the_whole_frame(tmp_path, fundus_drawings):
    for name in ("low", "high"):
        (tmp_path / name).mkdir()
        write_photograph(Photograph(pixels=fundus_drawings[0]), tmp_path / name / "eye.png")
    folders = {"low_folder": str(tmp_path / "low"), "high_folder": str(tmp_path / "high")}
    found, whole = (
        open_pairs(PairSource(**folders, field_of_view=shape), SIZE)[Draw(0, 0)]["mask"]
        for shape in ("auto", "full_frame")
    )
    assert found.float().mean() < whole.float().mean()
