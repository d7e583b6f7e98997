"""Broken files in a folder of photographs: counted, named and left out, up to a share."""

import io
import logging
import multiprocessing
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
from toy_training import in_another_process

from retina_adapt.data import (
    Draw,
    PairSource,
    PhotographSource,
    PreparationError,
    PreparedPhotographs,
    open_pairs,
    open_sources,
)
from retina_adapt.data import prepared_photographs as module
from retina_adapt.data.rows import row_photograph
from retina_adapt.imaging import ImageReadError, Photograph, write_photograph

BROKEN = ["black.png", "empty.jpg", "picture.gif", "strip.png", "truncated.jpg", "truncated.png", "words.jpg"]


@pytest.fixture
def folder_with_broken_files(tmp_path, fundus_drawings) -> Path:
    """Six good photographs, seven broken ones, and what else is found in folders."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, pixels in enumerate(fundus_drawings):
        write_photograph(Photograph(pixels=pixels), folder / f"eye_{number}.{'jpg' if number % 2 else 'png'}")
    for suffix, number in (("png", 0), ("jpg", 1)):
        content = (folder / f"eye_{number}.{suffix}").read_bytes()
        (folder / f"truncated.{suffix}").write_bytes(content[: len(content) // 2])
    write_photograph(Photograph(pixels=np.zeros((64, 64, 3), dtype=np.float32)), folder / "black.png")
    strip = np.random.default_rng(0).uniform(0.4, 0.8, (16, 3200, 3))
    write_photograph(Photograph(pixels=strip.astype(np.float32)), folder / "strip.png")
    (folder / "empty.jpg").touch()
    (folder / "words.jpg").write_text("404 not found")
    (folder / "picture.gif").write_bytes(b"GIF89a")
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "inner.txt").write_text("no image")
    (folder / "._eye_0.jpg").write_bytes(b"what a file manager left")
    (folder / "Thumbs.db").write_bytes(b"what another one left")
    (folder / "dangling.jpg").symlink_to("/nowhere/eye.jpg")
    return folder


def prepare(folder: Path, share: float = 0.6) -> PreparedPhotographs:
    return PreparedPhotographs(open_sources([PhotographSource(str(folder))]), 32, largest_broken_share=share)


def file_names(prepared: PreparedPhotographs) -> list[str]:
    return [Path(name).name for name in prepared.names]


def test_broken_files_are_left_out_and_each_is_named_with_its_reason(folder_with_broken_files):
    prepared = prepare(folder_with_broken_files)
    assert len(prepared) == 6
    assert [name.split(".")[0] for name in file_names(prepared)] == [f"eye_{number}" for number in range(6)]
    assert [Path(message.split(": ")[0]).name for message in prepared.broken] == BROKEN
    reasons = ("contrast", "empty", "not a JPEG", "fills only", "truncated", "truncated", "not a JPEG")
    assert all(reason in message for reason, message in zip(reasons, prepared.broken, strict=True))


def test_the_others_are_as_they_are_without_the_broken_ones(folder_with_broken_files):
    mixed = prepare(folder_with_broken_files)
    for name in BROKEN:
        (folder_with_broken_files / name).unlink()
    clean = prepare(folder_with_broken_files, share=0.0)
    assert clean.broken == []
    assert mixed.names == clean.names
    for index in range(6):
        np.testing.assert_array_equal(mixed[index].image, clean[index].image)


def test_one_warning_counts_them_and_names_the_first_few_at_every_use(folder_with_broken_files, caplog, monkeypatch):
    prepare(folder_with_broken_files)
    monkeypatch.setattr(module, "row_photograph", None)  # the second use finds the prepared file
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            prepare(folder_with_broken_files)
    assert len(caplog.records) == 3
    assert len({record.getMessage() for record in caplog.records}) == 1
    message = caplog.records[0].getMessage()
    assert message.startswith("7 of 13 photographs are broken and left out: ")
    assert "\n" not in message
    assert all(name in message for name in BROKEN[:5])
    assert "words.jpg" not in message
    assert "and 2 more" in message


def test_sound_folders_give_no_warning(fundus_rows, caplog):
    assert PreparedPhotographs(fundus_rows, 32, largest_broken_share=0.5).broken == []
    assert not caplog.records


def test_more_than_the_share_is_an_error_that_names_all_and_the_setting(folder_with_broken_files):
    with pytest.raises(PreparationError, match=r"(?s)7 of 13 .*largest_broken_share to 0\.539 \(now 0\.5\)") as failure:
        prepare(folder_with_broken_files, share=0.5)
    assert all(name in str(failure.value) for name in BROKEN)
    assert "eye_" not in str(failure.value)


def test_the_share_itself_is_still_allowed(folder_with_broken_files):
    assert len(prepare(folder_with_broken_files, share=7 / 13)) == 6


def test_nothing_but_broken_files_is_an_error_whatever_the_share(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(PreparationError, match="1 of 1"):
        prepare(tmp_path, share=1.0)


@pytest.mark.parametrize("share", [-0.1, 1.1, 5.0, float("nan")])
def test_a_share_outside_its_range_is_an_error(fundus_rows, share):
    with pytest.raises(PreparationError, match=r"\[0, 1\]"):
        PreparedPhotographs(fundus_rows, 32, largest_broken_share=share)


def test_a_mended_file_comes_back_and_changes_the_fingerprint(folder_with_broken_files, fundus_drawings):
    before = prepare(folder_with_broken_files)
    write_photograph(Photograph(pixels=fundus_drawings[0]), folder_with_broken_files / "empty.jpg")
    after = prepare(folder_with_broken_files)
    assert "empty.jpg" in file_names(after)
    assert len(after.broken) == 6
    assert after.fingerprint != before.fingerprint


def test_the_fingerprint_tells_apart_what_two_versions_of_the_package_could_read(fundus_rows, monkeypatch):
    def older_version(value, column, index):
        if index == 1:
            raise ImageReadError(f"{value['path']}: a kind of file that is not supported yet")
        return row_photograph(value, column, index)

    with monkeypatch.context() as patched:
        patched.setattr(module, "row_photograph", older_version)
        before = PreparedPhotographs(fundus_rows, 32, largest_broken_share=0.5)
    before.cache_file.unlink()
    after = PreparedPhotographs(fundus_rows, 32, largest_broken_share=0.5)
    assert after.cache_file == before.cache_file
    assert (len(before), len(after)) == (5, 6)
    assert after.fingerprint != before.fingerprint


def test_a_strict_use_of_the_same_folder_is_still_an_error(folder_with_broken_files):
    prepare(folder_with_broken_files)
    with pytest.raises(PreparationError, match="7 of 13"):
        prepare(folder_with_broken_files, share=0.0)
    assert len(prepare(folder_with_broken_files)) == 6


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells which files are mapped")
def test_what_is_prepared_is_not_mapped_when_an_error_deletes_it(folder_with_broken_files, monkeypatch):
    """Windows does not delete what is mapped, and its error would take the place of the list."""
    unlink, deleted = Path.unlink, []

    def unlink_as_on_windows(path: Path, missing_ok: bool = False) -> None:
        if str(path) in Path("/proc/self/maps").read_text():
            raise PermissionError(13, "being used by another process", str(path))
        deleted.extend([path] * (path.suffix == ".arrow"))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_as_on_windows)
    with pytest.raises(PreparationError, match="7 of 13"):
        prepare(folder_with_broken_files, share=0.0)
    for name in BROKEN:
        unlink(folder_with_broken_files / name)
    write_photograph(Photograph(pixels=np.full((64, 64, 1), 0.5, np.float32)), folder_with_broken_files / "grey.png")
    with pytest.raises(PreparationError, match="1 of 7 photographs are grey"):
        PreparedPhotographs(
            open_sources([PhotographSource(str(folder_with_broken_files))]), 32, field_of_view="full_frame"
        )
    assert len(deleted) == 2


def test_broken_files_of_a_split_folder_with_metadata_are_left_out_too(tmp_path, folder_with_broken_files):
    train = tmp_path / "collection" / "train"
    train.parent.mkdir()
    shutil.move(folder_with_broken_files, train)
    lines = [f'{{"file_name": "{name}"}}' for name in ("eye_0.png", "empty.jpg", "eye_2.png", "lost.jpg")]
    (train / "metadata.jsonl").write_text("\n".join(lines))
    prepared = prepare(train.parent)
    assert file_names(prepared) == ["eye_0.png", "eye_2.png"]
    assert [Path(message.split(": ")[0]).name for message in prepared.broken] == ["empty.jpg", "lost.jpg"]


def test_broken_rows_of_parquet_files_are_named_by_row(tmp_path, fundus_folder):
    content = (fundus_folder / "eye_0.png").read_bytes()
    images = [{"bytes": content, "path": None}, {"bytes": b"junk", "path": None}, {"bytes": None, "path": None}]
    datasets.Dataset.from_dict({"image": images}).to_parquet(tmp_path / "part.parquet")
    prepared = PreparedPhotographs(
        open_sources([PhotographSource(str(tmp_path / "part.parquet"))]), 32, largest_broken_share=0.7
    )
    assert len(prepared) == 1
    assert [message[:5] for message in prepared.broken] == ["row 1", "row 2"]


@pytest.fixture
def pair_folders_with_broken_files(tmp_path, fundus_drawings) -> tuple[Path, Path]:
    """Five pairs: of one the low photograph is damaged, of one the clear one, of one the sizes differ."""
    low, high = tmp_path / "low", tmp_path / "high"
    for number, pixels in enumerate(fundus_drawings[:5]):
        write_photograph(Photograph(pixels=pixels * 0.5), low / f"eye_{number}.png")
        write_photograph(Photograph(pixels=pixels), high / f"eye_{number}.png")
    (low / "eye_1.png").write_bytes(b"")
    (high / "eye_2.png").write_text("words")
    write_photograph(Photograph(pixels=fundus_drawings[3][:150]), low / "eye_3.png")
    return low, high


def test_a_pair_with_one_broken_photograph_is_left_out_as_a_pair(pair_folders_with_broken_files):
    low, high = pair_folders_with_broken_files
    source = PairSource(low_folder=str(low), high_folder=str(high), largest_broken_share=0.6)
    pairs = open_pairs(source, 32)
    assert len(pairs) == 2
    assert [Path(name).name for name in pairs.prepared.names] == ["eye_0.png", "eye_4.png"]
    assert [Path(message.split(": ")[0]).relative_to(low.parent).as_posix() for message in pairs.prepared.broken] == [
        "low/eye_1.png",
        "high/eye_2.png",
        "low/eye_3.png",
    ]
    for index in range(2):
        item = pairs[Draw(index, 0)]
        inside = item["mask"].expand(3, -1, -1)
        np.testing.assert_allclose(item["low"][inside], 0.5 * item["high"][inside], atol=0.02)


@pytest.mark.parametrize("way", ["clear", "rows", "folders"])
def test_every_way_to_pairs_obeys_the_share(tmp_path, pair_folders_with_broken_files, way):
    low, high = pair_folders_with_broken_files
    columns = {
        folder.name: [{"bytes": path.read_bytes(), "path": path.name} for path in sorted(folder.iterdir())]
        for folder in (low, high)
    }
    table = str(tmp_path / "pairs.parquet")
    datasets.Dataset.from_dict(columns).to_parquet(table)
    options = {
        "clear": {"clear": [PhotographSource(str(high))], "degradation": "mixed"},
        "rows": {"rows": PhotographSource(table)},
        "folders": {"low_folder": str(low), "high_folder": str(high)},
    }[way]
    pairs = open_pairs(PairSource(**options, largest_broken_share=0.6), 32)
    assert len(pairs) == (4 if way == "clear" else 2)
    with pytest.raises(PreparationError, match="cannot be prepared"):
        open_pairs(PairSource(**options, largest_broken_share=0.0), 32)


@pytest.mark.slow
def test_two_processes_that_start_at_once_leave_out_the_same(folder_with_broken_files):
    starts, found = multiprocessing.Barrier(2, timeout=120), multiprocessing.SimpleQueue()

    def prepare() -> None:
        warned = io.StringIO()
        logging.getLogger("retina_adapt").addHandler(logging.StreamHandler(warned))
        starts.wait()
        rows = open_sources([PhotographSource(str(folder_with_broken_files))])
        prepared = PreparedPhotographs(rows, 32, largest_broken_share=0.6)
        numbers = prepared.fingerprint, len(prepared), len(prepared.broken), prepared[5].image.sum()
        found.put((numbers, warned.getvalue()))

    processes = [in_another_process(prepare) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    (one, one_warned), (other, other_warned) = found.get(), found.get()
    assert one == other
    assert one[1:3] == (6, 7)
    assert all("7 of 13 photographs are broken" in warned for warned in (one_warned, other_warned))
