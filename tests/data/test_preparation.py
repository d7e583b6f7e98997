"""Squares cut to the field of view, prepared once."""

import os
import pickle

import datasets
import numpy as np
import pytest

from retina_adapt.data import MissingColumnError, PreparationError, PreparedPhotographs, prepare_photograph
from retina_adapt.data import prepared_photographs as module
from retina_adapt.data.preparation import mirror_outside
from retina_adapt.imaging import FieldOfViewError, Photograph, read_photograph, write_photograph


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the photographs decoded by preparation, in order."""
    names = []
    original = module.row_photograph

    def row_photograph(value, column, index):
        names.append(value["path"])
        return original(value, column, index)

    monkeypatch.setattr(module, "row_photograph", row_photograph)
    return names


def rows_of(*paths, **further_columns) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"image": [str(path) for path in paths], **further_columns})


def test_a_prepared_photograph_is_the_square_of_the_field_of_view(fundus_drawings):
    prepared = prepare_photograph(Photograph(pixels=fundus_drawings[0]), "eye", 64)
    assert prepared.image.shape == (64, 64, 3)
    assert prepared.image.dtype == np.float32
    assert prepared.mask.dtype == bool
    assert prepared.mask.mean() == pytest.approx(np.pi / 4, abs=0.02)
    assert prepared.image[0, 0].max() > 0.1, "the corner holds mirrored tissue, not the black surround"


def test_a_transparent_surround_is_no_tissue_whatever_its_color(fundus_drawings):
    pixels = fundus_drawings[0]
    expected = prepare_photograph(Photograph(pixels), "eye", 64)
    surround = pixels.max(axis=2) < 0.05
    white = Photograph(np.where(surround[:, :, None], np.float32(1), pixels), alpha=(~surround).astype(np.float32))
    found = prepare_photograph(white, "eye", 64)
    assert np.mean(found.mask == expected.mask) > 0.99
    assert np.abs(found.image - expected.image)[expected.mask].mean() < 0.01
    unused = Photograph(pixels, alpha=np.zeros(surround.shape, dtype=np.float32))
    np.testing.assert_array_equal(prepare_photograph(unused, "eye", 64).mask, expected.mask)


def test_a_given_mask_decides_the_square(fundus_drawings):
    mask = np.zeros((160, 200), dtype=bool)
    mask[40:72, 60:92] = True
    prepared = prepare_photograph(Photograph(pixels=fundus_drawings[0]), "eye", 32, mask=mask)
    assert prepared.mask.all()
    np.testing.assert_array_equal(prepared.image, fundus_drawings[0][40:72, 60:92])


def test_a_full_frame_keeps_every_pixel():
    pixels = np.random.default_rng(0).random((48, 48, 1), dtype=np.float32)
    prepared = prepare_photograph(Photograph(pixels=pixels), "smear", 48, field_of_view="full_frame")
    np.testing.assert_array_equal(prepared.image, pixels)


def test_a_photograph_without_field_of_view_is_an_error_that_names_it():
    with pytest.raises(FieldOfViewError, match="black"):
        prepare_photograph(Photograph(pixels=np.zeros((64, 64, 3), dtype=np.float32)), "black.png", 32)


@pytest.mark.parametrize("frame_shape", [(2, 400), (40_000, 2), (20, 340)])
def test_a_strip_is_an_error_before_a_huge_square_is_made_around_it(frame_shape):
    strip = Photograph(pixels=np.full((*frame_shape, 3), 0.5, dtype=np.float32))
    with pytest.raises(FieldOfViewError, match=rf"^strip\.png: .*{max(frame_shape)} px"):
        prepare_photograph(strip, "strip.png", 32, field_of_view="full_frame")


def test_a_panorama_is_no_strip():
    panorama = Photograph(pixels=np.full((40, 320, 3), 0.5, dtype=np.float32))
    assert prepare_photograph(panorama, "panorama.png", 32, field_of_view="full_frame").mask.mean() == pytest.approx(
        1 / 8
    )


@pytest.mark.parametrize(("distance", "reason"), [(2, "none of which is left"), (8, "fills only")])
def test_a_mask_of_scattered_pixels_is_an_error(fundus_drawings, distance, reason):
    mask = np.zeros((160, 200), dtype=bool)
    mask[::distance, ::distance] = True
    with pytest.raises(FieldOfViewError, match=rf"^eye\.png: .*{reason}"):
        prepare_photograph(Photograph(pixels=fundus_drawings[0]), "eye.png", 32, mask=mask)


def test_what_preparation_stores_outside_the_mask_is_a_fixed_point_of_mirroring(fundus_drawings):
    prepared = prepare_photograph(Photograph(pixels=fundus_drawings[1]), "eye", 64)
    np.testing.assert_array_equal(mirror_outside(prepared.image, prepared.mask), prepared.image)


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_stored_squares_equal_fresh_ones_to_half_a_level_of_their_files(tmp_path, fundus_drawings, bit_depth):
    write_photograph(Photograph(pixels=fundus_drawings[0], bit_depth=bit_depth), tmp_path / "eye.png")
    stored = PreparedPhotographs(rows_of(tmp_path / "eye.png"), 64)[0]
    fresh = prepare_photograph(read_photograph(tmp_path / "eye.png"), "eye", 64)
    np.testing.assert_array_equal(stored.mask, fresh.mask)
    np.testing.assert_allclose(stored.image, fresh.image, atol=0.51 / (2**bit_depth - 1))


def test_photographs_are_decoded_once_for_all_epochs_and_runs(fundus_rows, decoded):
    first = PreparedPhotographs(fundus_rows, 32)
    again = PreparedPhotographs(fundus_rows, 32)
    for index in range(6):
        np.testing.assert_array_equal(first[index].image, again[index].image)
    assert len(decoded) == 6


def test_a_replaced_file_or_another_parameter_is_prepared_anew(tmp_path, fundus_drawings, decoded):
    path = tmp_path / "eye.png"
    write_photograph(Photograph(pixels=fundus_drawings[0]), path)
    before = PreparedPhotographs(rows_of(path), 32)[0].image
    PreparedPhotographs(rows_of(path), 48)
    assert len(decoded) == 2
    write_photograph(Photograph(pixels=fundus_drawings[1]), path)
    os.utime(path, ns=(1, 1))
    assert not np.array_equal(PreparedPhotographs(rows_of(path), 32)[0].image, before)


def test_one_error_lists_every_photograph_that_fails(tmp_path, fundus_folder):
    (tmp_path / "empty.png").touch()
    write_photograph(Photograph(pixels=np.zeros((64, 64, 3), dtype=np.float32)), tmp_path / "black.png")
    rows = rows_of(tmp_path / "empty.png", fundus_folder / "eye_0.png", tmp_path / "black.png")
    with pytest.raises(PreparationError, match=r"(?s)2 of 3 .*empty\.png.*black\.png") as failure:
        PreparedPhotographs(rows, 32)
    assert "eye_0.png" not in str(failure.value)


def test_a_failed_preparation_leaves_nothing_behind(tmp_path, decoded):
    (tmp_path / "empty.png").touch()
    for _ in range(2):
        with pytest.raises(PreparationError):
            PreparedPhotographs(rows_of(tmp_path / "empty.png"), 32)
    assert len(decoded) == 2
    assert not list((datasets.config.HF_DATASETS_CACHE / "retina_adapt").glob("*.arrow"))


def test_grey_and_color_photographs_do_not_mix(tmp_path, fundus_folder, fundus_drawings):
    write_photograph(Photograph(pixels=fundus_drawings[0][:, :, :1]), tmp_path / "grey.png")
    with pytest.raises(PreparationError, match=r"(?s)1 of 2 .*grey\.png"):
        PreparedPhotographs(rows_of(fundus_folder / "eye_0.png", tmp_path / "grey.png"), 32)


def test_grey_photographs_keep_their_one_channel(tmp_path, fundus_drawings):
    write_photograph(Photograph(pixels=fundus_drawings[0][:, :, :1]), tmp_path / "grey.png")
    prepared = PreparedPhotographs(rows_of(tmp_path / "grey.png"), 32)
    assert prepared[0].image.shape == (32, 32, 1)


def test_an_absent_column_is_an_error_that_names_the_columns(fundus_rows):
    with pytest.raises(MissingColumnError, match=r"'photo'.*image"):
        PreparedPhotographs(fundus_rows, 32, image_column="photo")


def test_no_rows_are_an_error(fundus_rows):
    with pytest.raises(PreparationError, match="no rows"):
        PreparedPhotographs(fundus_rows.select([]), 32)


def test_prepared_photographs_can_be_sent_to_worker_processes(fundus_rows):
    prepared = PreparedPhotographs(fundus_rows, 32)
    copy = pickle.loads(pickle.dumps(prepared))
    np.testing.assert_array_equal(copy[2].image, prepared[2].image)


@pytest.mark.corpus
@pytest.mark.parametrize("collection", ["hrf", "chase_db1", "csdi", "bccd"])
def test_photographs_of_the_corpus_can_be_prepared(corpus, collection):
    from retina_adapt.data import load_images

    prepared = PreparedPhotographs(load_images(corpus / collection, split="validation", limit=4), 128)
    assert all(prepared[index].mask.mean() > 0.6 for index in range(4))
