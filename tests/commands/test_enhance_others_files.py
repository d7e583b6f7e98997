"""`retina-adapt enhance`: photographs, masks and records of others, or of the same names, are not taken for its own."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from rich.console import Console

from retina_adapt.commands.batch import BatchResult
from retina_adapt.commands.enhance import enhance_photographs
from retina_adapt.commands.photograph_list import OutputFolderError
from retina_adapt.commands.records import ForeignFileError
from retina_adapt.imaging import ImageReadError

Enhance = Callable[..., BatchResult]


@pytest.fixture
def enhance(toy_backbone_folder: Path, toy_adaptor_folder: Path) -> Enhance:
    def run(source: Path, output: Path, adaptors: tuple[str, ...] = ("light",), **options: object) -> BatchResult:
        return enhance_photographs(
            source,
            output,
            adaptors=[name if name == "auto" else f"{name}={toy_adaptor_folder}" for name in adaptors],
            backbone="nano" if "auto" in adaptors else str(toy_backbone_folder),
            detail="guided",
            device="cpu",
            console=Console(quiet=True),
            **options,
        )

    return run


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.png")}


def test_no_original_lies_where_one_of_several_adaptors_would_write(
    enhance: Enhance, drawn: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "haze").symlink_to(drawn)
    before = contents(drawn)
    with pytest.raises(OutputFolderError, match=r"haze/drawn_0000\.png: is the photograph .*itself.*another folder"):
        enhance(drawn, tmp_path / "out", ("light", "haze"), overwrite=True)
    assert contents(drawn) == before
    assert not (tmp_path / "out" / "light").exists()


def test_a_copy_passes_for_one_of_auto_only_where_auto_has_been_at_work(
    enhance: Enhance, drawn: Path, tmp_path: Path
) -> None:
    for visit in ("second visit", "."):
        shutil.copytree(drawn / visit, tmp_path / "all" / "backup" / visit, dirs_exist_ok=True)
    shutil.copytree(drawn, tmp_path / "all" / "photographs")
    for _ in range(2):
        with pytest.raises(OutputFolderError, match="no run has recorded it"):
            enhance(drawn, tmp_path / "all" / "backup", ("auto",))
    # And the refused run has not made a folder of results of the backup, which would be passed over.
    assert len(enhance(tmp_path / "all", tmp_path / "out").written) == 8


def test_masks_that_change_places_are_told_from_each_other(enhance: Enhance, drawn: Path, tmp_path: Path) -> None:
    """Of one size and time, as written by one program and unpacked from one archive."""
    masks, output = tmp_path / "masks", tmp_path / "out"
    masks.mkdir()
    for name, rows in (("drawn_0000", slice(20, 60)), ("drawn_0001", slice(40, 90))):
        mask = np.zeros((112, 112), np.uint8)
        mask[rows, 30:80] = 255
        tifffile.imwrite(masks / f"{name}.tif", mask)
        os.utime(masks / f"{name}.tif", (1e9, 1e9))
    shutil.rmtree(drawn / "second visit")
    enhance(drawn, output, masks=masks)
    first = contents(output)
    assert len(enhance(drawn, output, masks=masks).skipped) == 2
    (masks / "drawn_0000.tif").rename(masks / "between")
    (masks / "drawn_0001.tif").rename(masks / "drawn_0000.tif")
    (masks / "between").rename(masks / "drawn_0001.tif")
    assert len(enhance(drawn, output, masks=masks).written) == 2
    assert not set(first.values()) & set(contents(output).values())
    # A copy of all of them, with their times, is known by what it holds.
    for folder in (drawn, masks):
        shutil.copytree(folder, tmp_path / "copy")
        shutil.rmtree(folder)
        (tmp_path / "copy").rename(folder)
    assert len(enhance(drawn, output, masks=masks).skipped) == 2


def test_results_are_replaced_where_the_new_enhancement_succeeds_and_no_others_are_counted(
    enhance: Enhance, drawn: Path, tmp_path: Path
) -> None:
    enhance(drawn, tmp_path / "out")
    (drawn / "drawn_0000.png").write_bytes(b"no picture")
    result = enhance(drawn, tmp_path / "out", seed=1)
    assert len(result.failures) == 1
    assert any("replaced results of an earlier run (3)" in warning for warning in result.warnings)


@pytest.mark.parametrize("source", [".", "**/*.png"])
def test_what_cannot_be_reached_is_among_the_failures_of_summary_and_report(
    source: str, enhance: Enhance, drawn: Path, tmp_path: Path
) -> None:
    (drawn / "Ward 2.3").symlink_to(tmp_path / "unmounted")
    (drawn / "second visit" / "lost.png").symlink_to(tmp_path / "nowhere.png")
    # Neither hidden things nor results of earlier runs are looked at.
    (drawn / ".cache").symlink_to(tmp_path / "nowhere")
    results = drawn / "results"
    enhance(drawn / "drawn_0000.png", results)
    (results / "gone").symlink_to(tmp_path / "nowhere")
    result = enhance(drawn / source, tmp_path / "out", report=tmp_path / "report.html")
    assert len(result.written) == 4
    first, second = result.failures
    assert first.startswith(f"{drawn / 'Ward 2.3'}: ")
    assert second.startswith(f"{drawn / 'second visit' / 'lost.png'}: ")
    assert all("mount the disk" in message for message in result.failures)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["unreachable"] == result.failures
    assert "Ward 2.3" in (tmp_path / "report.html").read_text()


def test_masks_of_which_some_cannot_be_reached_are_a_mistake(enhance: Enhance, drawn: Path, tmp_path: Path) -> None:
    """Otherwise a mask of the same name in another folder would be taken."""
    shutil.copytree(drawn, tmp_path / "masks")
    (tmp_path / "masks" / "third visit").symlink_to(tmp_path / "unmounted")
    with pytest.raises(ImageReadError, match=r"masks/third visit: .*mount the disk"):
        enhance(drawn, tmp_path / "out", masks=tmp_path / "masks")


@pytest.mark.parametrize("name", ["summary.json", "summary.csv", "routes.json", "report.html"])
def test_a_file_that_another_program_wrote_is_not_replaced(
    name: str, enhance: Enhance, drawn: Path, tmp_path: Path
) -> None:
    output, adaptors = tmp_path / "out", ("auto",) if name == "routes.json" else ("light",)
    path = output / name
    output.mkdir()
    path.write_text('["of a ward round"]')
    with pytest.raises(ForeignFileError, match=rf"{name}: .*move it away, or give another name or folder"):
        enhance(drawn, output, adaptors, report=output / "report.html")
    assert path.read_text() == '["of a ward round"]'
    assert list(output.iterdir()) == [path]
    path.unlink()
    # Its own are.
    for _ in range(2):
        enhance(drawn, output, adaptors, report=output / "report.html")
    assert path.is_file()
