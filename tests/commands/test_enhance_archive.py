"""An archive as it is: linked, mounted, copied, swapped, out of reach, and worked on by two runs at once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from filelock import FileLock
from rich.console import Console
from toy_files import save_toy_adaptor

from retina_adapt.backbones import ReconstructionBackbone
from retina_adapt.commands.batch import BatchResult
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.enhance import enhance_photographs
from retina_adapt.commands.photograph_list import OutputFolderError
from retina_adapt.commands.records import ForeignFileError
from retina_adapt.imaging import read_photograph, sha256_of
from retina_adapt.sole_use import FolderInUseError

Enhance = Callable[..., BatchResult]


@pytest.fixture
def enhance(toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path, tmp_path: Path) -> Enhance:
    save_toy_adaptor(toy_backbone, tmp_path / "adaptor")

    def run(source: Path, output: Path, **options: bool) -> BatchResult:
        return enhance_photographs(
            source,
            output,
            adaptors=[str(tmp_path / "adaptor")],
            backbone=str(toy_backbone_folder),
            detail="guided",
            device="cpu",
            console=Console(quiet=True),
            **options,
        )

    return run


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    draw_photographs(tmp_path / "archive", count=2, seed=0, size=96)
    return tmp_path / "archive"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path.read_bytes()) for path in folder.glob("*.png")}


def test_a_photograph_is_not_its_own_result_whatever_links_lead_to_it(
    enhance: Enhance, archive: Path, tmp_path: Path
) -> None:
    before = digests(archive)
    output = tmp_path / "enhanced"
    output.mkdir()
    for name in before:
        os.link(archive / name, output / name)
    (tmp_path / "all" / "sub").mkdir(parents=True)
    shutil.copytree(archive, tmp_path / "all" / "sub", dirs_exist_ok=True)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "sub").symlink_to(tmp_path / "all" / "sub")
    for source, results in ((archive, output), (tmp_path / "all", linked)):
        for options in ({}, {"overwrite": True}):
            with pytest.raises(OutputFolderError, match=r"is the photograph .* itself"):
                enhance(source, results, **options)
    assert digests(archive) == digests(tmp_path / "all" / "sub") == before


def test_a_backup_is_not_taken_for_results(enhance: Enhance, archive: Path, tmp_path: Path) -> None:
    shutil.copytree(archive, tmp_path / "backup")
    with pytest.raises(OutputFolderError, match="no run has recorded it"):
        enhance(archive, tmp_path / "backup")
    assert digests(tmp_path / "backup") == digests(archive)


def test_two_files_of_one_size_and_time_that_change_places_are_enhanced_anew(
    enhance: Enhance, archive: Path, tmp_path: Path
) -> None:
    source, output = tmp_path / "source", tmp_path / "enhanced"
    source.mkdir()
    for path, name in zip(sorted(archive.glob("*.png")), ("one.tif", "two.tif"), strict=True):
        tifffile.imwrite(source / name, np.round(read_photograph(path).pixels * 255).astype(np.uint8))
        os.utime(source / name, (1_000_000, 1_000_000))
    enhance(source, output)
    first = {path.name: path.read_bytes() for path in output.glob("*.tif")}
    (source / "one.tif").rename(source / "between")
    (source / "two.tif").rename(source / "one.tif")
    (source / "between").rename(source / "two.tif")
    enhance(source, output)
    assert (output / "one.tif").read_bytes() == first["two.tif"]
    assert (output / "two.tif").read_bytes() == first["one.tif"]
    # A copy of the archive, with the times of its files, is known by what they hold.
    shutil.copytree(source, tmp_path / "copy")
    shutil.rmtree(source)
    (tmp_path / "copy").rename(source)
    assert len(enhance(source, output).skipped) == 2


def test_a_source_given_relative_to_another_folder_is_another_source(
    enhance: Enhance, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for clinic, seed in (("a", 0), ("b", 5)):
        draw_photographs(tmp_path / clinic / "photographs", count=1, seed=seed, size=96)
    (second,) = (tmp_path / "b" / "photographs").glob("*.png")
    (first,) = (tmp_path / "a" / "photographs").glob("*.png")
    second.rename(second.with_name(first.name))
    monkeypatch.chdir(tmp_path / "a")
    enhance(Path("photographs"), tmp_path / "out")
    monkeypatch.chdir(tmp_path / "b")
    with pytest.raises(OutputFolderError, match=r"was made from .*a/photographs"):
        enhance(Path("photographs"), tmp_path / "out")


def test_what_cannot_be_reached_is_among_the_failures(enhance: Enhance, archive: Path, tmp_path: Path) -> None:
    (archive / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (archive / "ward").symlink_to(tmp_path / "unmounted")
    result = enhance(archive, tmp_path / "out")
    assert len(result.written) == 2
    assert [failure.partition(":")[0] for failure in result.failures] == [
        str(archive / "lost.png"),
        str(archive / "ward"),
    ]
    assert all("mount the disk" in failure for failure in result.failures)


def test_two_runs_do_not_work_in_one_folder_at_once(enhance: Enhance, archive: Path, tmp_path: Path) -> None:
    enhance(archive, tmp_path / "out")
    lock = FileLock(tmp_path / "out" / ".retina_adapt" / "lock")
    with lock, pytest.raises(FolderInUseError, match="another run is at work there"):
        enhance(archive, tmp_path / "out", overwrite=True)
    enhance(archive, tmp_path / "out", overwrite=True)


def test_what_a_killed_run_has_not_finished_is_removed(enhance: Enhance, archive: Path, tmp_path: Path) -> None:
    left, others = tmp_path / "out" / "sub" / ".0123456789ab.partial.png", tmp_path / "out" / ".hidden.png"
    left.parent.mkdir(parents=True)
    for path in (left, others):
        path.write_bytes(b"a part of a picture")
    enhance(archive, tmp_path / "out")
    assert not left.exists()
    assert others.exists()


@pytest.mark.parametrize("name", ["summary.json", "summary.csv"])
def test_a_summary_of_somebody_elses_is_not_overwritten(
    name: str, enhance: Enhance, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("{}")
    with pytest.raises(ForeignFileError, match=rf"{name}: is there already"):
        enhance(archive, tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    enhance(archive, tmp_path / "out")
    enhance(archive, tmp_path / "out")
