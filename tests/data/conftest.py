"""Drawn photographs on disk, and a `datasets` cache that no other run shares."""

from pathlib import Path

import datasets
import numpy as np
import pytest

from retina_adapt.imaging import Photograph, write_photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.fixture(autouse=True)
def own_datasets_cache(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets_cache"))
    datasets.disable_progress_bars()


@pytest.fixture(scope="session")
def fundus_drawings() -> list[np.ndarray]:
    """Six different eyes in frames of 160 x 200 pixels, float32 RGB in [0, 1]."""
    return [np.pad(draw_fundus(seed, 160)[0], ((0, 0), (20, 20), (0, 0))) for seed in range(6)]


@pytest.fixture(scope="session")
def fundus_folder(tmp_path_factory, fundus_drawings) -> Path:
    """A flat folder `eye_0.png` to `eye_5.png`; read only."""
    folder = tmp_path_factory.mktemp("fundus")
    for number, pixels in enumerate(fundus_drawings):
        write_photograph(Photograph(pixels=pixels), folder / f"eye_{number}.png")
    return folder


@pytest.fixture
def fundus_rows(fundus_folder) -> datasets.Dataset:
    """The drawings as rows with an undecoded "image" column, in order."""
    paths = [str(path) for path in sorted(fundus_folder.glob("*.png"))]
    return datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image(decode=False))
