"""Opening collections of photographs."""

import json
import re
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from retina_adapt.configuration import parse_configuration
from retina_adapt.data import DataSourceError, MissingColumnError, PhotographSource, load_images
from retina_adapt.data.rows import as_undecoded_images, row_photograph
from retina_adapt.imaging import ImageReadError, Photograph, read_photograph, write_photograph


@pytest.fixture
def split_folder(tmp_path, fundus_folder) -> Path:
    """Two splits with scores, and a folder of vessel masks beside them."""
    root = tmp_path / "collection"
    for split, numbers in (("train", range(4)), ("test", (4, 5))):
        (root / split).mkdir(parents=True)
        lines = []
        for number in numbers:
            shutil.copy(fundus_folder / f"eye_{number}.png", root / split)
            score = None if number == 3 else float(number)
            lines.append(json.dumps({"file_name": f"eye_{number}.png", "score": score, "finding": "none"}))
        (root / split / "metadata.jsonl").write_text("\n".join(lines))
    (root / "vessels").mkdir()
    shutil.copy(fundus_folder / "eye_0.png", root / "vessels" / "vessels_0.png")
    return root


@pytest.fixture
def no_network(monkeypatch) -> list[str]:
    """Names that would have been asked of the Hub."""
    asked = []

    def load_dataset(name, **arguments):
        asked.append(name)
        raise ConnectionError("the Hub cannot be reached")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def names(dataset) -> list[str]:
    return sorted(Path(row["image"]["path"]).name for row in dataset)


def test_a_split_folder_gives_its_images_with_metadata_and_nothing_beside_it(split_folder):
    train = load_images(split_folder)
    assert names(train) == [f"eye_{number}.png" for number in range(4)]
    assert set(train.column_names) == {"image", "score", "finding"}
    assert names(load_images(split_folder, split="test")) == ["eye_4.png", "eye_5.png"]


def test_brackets_in_a_folders_name_are_no_pattern(split_folder, fundus_folder):
    """`eyes[12]` is not `eyes1`."""
    for name, numbers in (("eyes[12]", (0, 1)), ("eyes1", (2,))):
        (split_folder.parent / name).mkdir()
        for number in numbers:
            shutil.copy(fundus_folder / f"eye_{number}.png", split_folder.parent / name)
    assert names(load_images(split_folder.parent / "eyes[12]")) == ["eye_0.png", "eye_1.png"]
    split_folder.rename(split_folder.parent / "photographs [2023]")
    assert len(load_images(split_folder.parent / "photographs [2023]")) == 4


def test_streaming_gives_the_same_rows(split_folder):
    assert list(load_images(split_folder, streaming=True)) == list(load_images(split_folder))


def test_a_flat_folder_is_a_train_split_without_its_subfolders_and_says_so(tmp_path, fundus_folder, caplog):
    flat = tmp_path / "flat"
    shutil.copytree(fundus_folder, flat)
    assert len(load_images(flat)) == 6
    assert not caplog.records
    shutil.copytree(fundus_folder, flat / "masks")
    assert len(load_images(flat)) == 6
    assert "subfolders (masks) are not read" in caplog.text


def test_a_folder_with_photographs_in_its_subfolders_alone_is_an_error_that_names_them(tmp_path, fundus_folder):
    for patient in "ab":
        shutil.copytree(fundus_folder, tmp_path / "patients" / patient)
    with pytest.raises(DataSourceError, match=r"only in subfolders \(a, b\).*a folder 'train'"):
        load_images(tmp_path / "patients")


def test_images_that_the_metadata_leave_out_are_not_read_and_a_warning_names_them(split_folder, fundus_folder, caplog):
    shutil.copy(fundus_folder / "eye_4.png", split_folder / "train" / "new.PNG")
    assert names(load_images(split_folder)) == [f"eye_{number}.png" for number in range(4)]
    assert re.search(r"1 of its photographs are left out \(new\.PNG\).*no row in the metadata", caplog.text)


def test_nothing_is_said_of_a_folder_that_is_read_whole(split_folder, fundus_folder, caplog):
    load_images(split_folder)
    load_images(fundus_folder)
    assert not caplog.text


@pytest.mark.parametrize("folder", ["", "train"])
def test_dicom_in_a_folder_of_images_is_named_and_alone_an_error(tmp_path, fundus_folder, folder, caplog):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "eye.dcm").write_bytes(b"")
    with pytest.raises(DataSourceError, match=r"DICOM objects alone.*write these photographs as PNG"):
        load_images(tmp_path)
    shutil.copy(fundus_folder / "eye_0.png", tmp_path / folder)
    assert names(load_images(tmp_path)) == ["eye_0.png"]
    assert re.search(r"left out \(eye\.dcm\), since they are DICOM", caplog.text)


@pytest.mark.parametrize("rows", ["file_name;patient\neye_0.png;7", "file_name,patient\n0,7"])
def test_metadata_that_name_no_image_are_an_error_that_says_what_they_should_hold(tmp_path, fundus_folder, rows):
    shutil.copy(fundus_folder / "eye_0.png", tmp_path)
    (tmp_path / "metadata.csv").write_text(rows)
    with pytest.raises(
        DataSourceError, match=r"comma-separated metadata\.csv, whose file_name is an image's name with"
    ):
        load_images(tmp_path)


def test_a_flat_folder_never_serves_as_test_split(fundus_folder):
    with pytest.raises(DataSourceError, match=r"no .test.*split_by_patient"):
        load_images(fundus_folder, split="test")


def test_an_absent_split_is_an_error_that_names_the_splits_there_are(split_folder):
    with pytest.raises(DataSourceError, match="no split 'validation'; its splits are: train, test"):
        load_images(split_folder, split="validation")


def test_a_folder_without_images_is_an_error_that_names_it(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataSourceError, match=str(tmp_path)):
        load_images(tmp_path)


@pytest.mark.parametrize("source", ["/nowhere/images", "./images", "a/b/c", "images", "owner/name"])
def test_a_folder_that_is_not_there_is_never_asked_of_the_hub(source, no_network):
    with pytest.raises(DataSourceError, match="check the path"):
        load_images(source)
    assert no_network == []


def test_what_is_said_to_be_on_the_hub_is_asked_of_it_and_failure_names_it(no_network):
    with pytest.raises(DataSourceError, match=r"hub:owner/name: the Hub.*cannot be reached"):
        load_images("hub:owner/name")
    assert no_network == ["owner/name"]


@pytest.mark.parametrize("annotated", [True, False])
def test_parquet_files_give_photographs_from_their_bytes(tmp_path, fundus_folder, annotated):
    path = fundus_folder / "eye_1.png"
    rows = datasets.Dataset.from_dict({"image": [{"bytes": path.read_bytes(), "path": "eye_1.png"}], "score": [1.0]})
    if annotated:
        rows = rows.cast_column("image", datasets.Image())
    rows.to_parquet(tmp_path / "part-0.parquet")
    row = load_images(str(tmp_path / "part-*.parquet"))[0]
    np.testing.assert_array_equal(row_photograph(row["image"], "image", 0).pixels, read_photograph(path).pixels)


@pytest.mark.parametrize("source", ["shards.parquet", "shards-*.parquet", "shards.tar", "shards/*.tar"])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_file_or_pattern_without_any_file_is_an_error_that_names_it(tmp_path, source, streaming):
    with pytest.raises(DataSourceError, match=re.escape(f"{tmp_path / source}: there is no such file")):
        load_images(tmp_path / source, streaming=streaming)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("column", ["score", "finding"])
def test_a_column_of_numbers_taken_for_images_is_an_error_that_names_the_columns(tmp_path, column, streaming):
    features = datasets.Features({"score": datasets.Value("float32"), "finding": datasets.ClassLabel(names=["none"])})
    datasets.Dataset.from_dict({"score": [0.5], "finding": [0]}, features=features).to_parquet(
        tmp_path / "rows.parquet"
    )
    rows = load_images(tmp_path / "rows.parquet", streaming=streaming)
    with pytest.raises(MissingColumnError, match=f"'{column}' holds no images.*the columns are: score, finding"):
        as_undecoded_images(rows, column)


def test_an_address_that_cannot_be_opened_is_an_error_that_names_it():
    with pytest.raises(ImageReadError, match=r"store://eyes/1\.png: cannot be read"):
        row_photograph({"path": "store://eyes/1.png", "bytes": None}, "image", 0)


def test_damaged_bytes_are_reported_under_their_own_name():
    with pytest.raises(ImageReadError, match=r"^broken\.png: "):
        row_photograph({"bytes": b"\x89PNG broken", "path": "broken.png"}, "image", 0)


def test_an_empty_image_value_is_an_error_that_names_row_and_column():
    with pytest.raises(ImageReadError, match="row 7, column 'low'"):
        row_photograph(None, "low", 7)


def test_rotated_and_16_bit_files_are_read_as_the_camera_meant_them(tmp_path, fundus_drawings):
    deep = fundus_drawings[0] * 0.5 + 1 / 65535
    write_photograph(Photograph(pixels=deep, bit_depth=16), tmp_path / "deep.png")
    turned = Image.new("RGB", (30, 20))
    exif = turned.getexif()
    exif[274] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    rows = load_images(tmp_path)
    by_name = {Path(row["image"]["path"]).name: row_photograph(row["image"], "image", 0) for row in rows}
    np.testing.assert_allclose(by_name["deep.png"].pixels, deep, atol=0.6 / 65535)
    assert by_name["turned.jpg"].pixels.shape == (30, 20, 3)


def test_conditions_keep_values_and_closed_ranges_and_drop_rows_without_a_value(split_folder):
    assert names(load_images(split_folder, where={"score": [1, 2]})) == ["eye_1.png", "eye_2.png"]
    assert names(load_images(split_folder, where={"score": [0, 99], "finding": "none"})) == [
        "eye_0.png",
        "eye_1.png",
        "eye_2.png",
    ]
    assert names(load_images(split_folder, where={"score": 2}, streaming=True)) == ["eye_2.png"]


def test_a_condition_on_an_absent_column_is_an_error_that_names_the_columns(split_folder):
    with pytest.raises(MissingColumnError, match=r"'grade'.*image.*score"):
        load_images(split_folder, where={"grade": 1})


def test_a_condition_in_a_configuration_may_be_a_truth_a_text_a_number_or_a_range() -> None:
    conditions = {
        "usable": True,
        "finding": "none",
        "eye": "no",
        "visit": "1",
        "score": 2,
        "share": 0.5,
        "grade": [0, 2.5],
    }
    arguments = ["--path", "photographs", "--where", json.dumps(conditions)]
    source = parse_configuration(PhotographSource, description="", arguments=arguments)
    assert source.where == conditions
    assert source.where["usable"] is True
    assert type(source.where["score"]) is not bool


@pytest.mark.parametrize("where", [{"finding": "cataract"}, {"score": [5, 9]}, {"score": [1, 2, 3]}])
def test_conditions_that_nothing_meets_or_that_make_no_sense_are_errors(split_folder, where):
    with pytest.raises(DataSourceError, match=str(split_folder)):
        load_images(split_folder, where=where)


def test_a_limit_takes_nested_subsets_that_the_seed_decides(fundus_folder):
    three = names(load_images(fundus_folder, limit=3, seed=1))
    assert len(three) == 3
    assert three == names(load_images(fundus_folder, limit=3, seed=1))
    assert set(three) <= set(names(load_images(fundus_folder, limit=4, seed=1)))
    assert any(three != names(load_images(fundus_folder, limit=3, seed=seed)) for seed in (2, 3, 4))


def test_a_limit_beyond_the_rows_or_of_a_stream_is_an_error(fundus_folder):
    with pytest.raises(DataSourceError, match=r"limit is 7.*only 6"):
        load_images(fundus_folder, limit=7)
    with pytest.raises(DataSourceError, match="drop either limit or streaming"):
        load_images(fundus_folder, limit=2, streaming=True)


@pytest.mark.corpus
def test_the_vessel_masks_of_the_corpus_are_not_photographs(corpus):
    assert [len(load_images(corpus / "hrf", split=split)) for split in ("train", "validation", "test")] == [
        24,
        6,
        15,
    ]
