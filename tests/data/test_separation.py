"""What is validated on is not trained on, under whatever name and in whatever file it lies."""

from pathlib import Path

import datasets
import numpy as np
import pytest

from retina_adapt.data import PairingError, open_sources, require_other_photographs
from retina_adapt.data.prepared_photographs import PreparedPhotographs
from retina_adapt.data.settings import PhotographSource
from retina_adapt.imaging import Photograph, read_photograph, write_photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus

SIDE = 96


def eyes(folder: Path, seeds: list[int], suffix: str = ".png") -> Path:
    """Drawn photographs in a folder, named by their place in it."""
    for number, seed in enumerate(seeds):
        write_photograph(Photograph(pixels=draw_fundus(seed, SIDE)[0]), folder / f"{number}{suffix}")
    return folder


def prepared(source: str | Path) -> PreparedPhotographs:
    return PreparedPhotographs(open_sources([PhotographSource(path=str(source))]), 64)


def test_other_eyes_of_the_same_names_are_apart(tmp_path: Path) -> None:
    train, validation = eyes(tmp_path / "a", [1, 2]), eyes(tmp_path / "b", [3, 4])
    require_other_photographs(prepared(train), prepared(validation))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_copy_under_another_name_and_in_another_format_is_found(suffix: str, tmp_path: Path) -> None:
    train, validation = eyes(tmp_path / "a", [1, 2]), eyes(tmp_path / "b", [3])
    write_photograph(read_photograph(train / "1.png"), validation / f"copy{suffix}")
    with pytest.raises(PairingError, match=rf"copy\{suffix}: is to validate with, .* same photograph as .*1\.png"):
        require_other_photographs(prepared(train), prepared(validation))


def test_a_copy_among_rows_of_a_file_is_found_and_equal_names_there_are_none(tmp_path: Path) -> None:
    def shard(name: str, seeds: list[int]) -> str:
        folder = eyes(tmp_path / name, seeds)
        rows = {"image": [str(path) for path in sorted(folder.iterdir())]}
        table = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
        table.to_parquet(str(tmp_path / f"{name}.parquet"))
        return str(tmp_path / f"{name}.parquet")

    train = prepared(shard("train", [1, 2]))
    require_other_photographs(train, prepared(shard("others", [3, 4])))
    with pytest.raises(PairingError, match="the same photograph"):
        require_other_photographs(train, prepared(shard("copies", [3, 2])))


def test_photographs_that_are_alike_in_the_middle_alone_are_apart(tmp_path: Path) -> None:
    def flat(folder: str, *levels: float) -> PreparedPhotographs:
        for level in levels:
            pixels = np.full((SIDE, SIDE, 3), 0.5, dtype=np.float32)
            pixels[0] = level
            write_photograph(Photograph(pixels=pixels), tmp_path / folder / f"{level}.png")
        source = PhotographSource(path=str(tmp_path / folder))
        return PreparedPhotographs(open_sources([source]), SIDE, field_of_view="full_frame")

    train, other, copy = flat("train", 0.2, 0.4), flat("other", 0.8), flat("copy", 0.2)
    assert len({*train.digests(), *other.digests()}) == 1
    require_other_photographs(train, other)
    with pytest.raises(PairingError, match="the same photograph"):
        require_other_photographs(train, copy)
