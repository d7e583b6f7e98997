"""`recipes/benchmark.py tint`: errors in the mean colour are told from the rest."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml

from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.data import PhotographSource


@pytest.fixture
def tint(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(recipes_folder()))
    return importlib.import_module("benchmarks.tint")


def test_an_even_cast_is_tint_and_a_pattern_is_not(tint: ModuleType) -> None:
    high, mask = torch.full((3, 4, 4), 0.5), torch.ones(1, 4, 4, dtype=torch.bool)
    mask[:, 0] = False
    cast = torch.tensor([0.1, 0.0, -0.1])[:, None, None].expand(3, 4, 4)
    pattern = torch.tensor([0.2, -0.2]).repeat(3, 4, 2)
    item = {"high": high, "mask": mask}
    assert tint.square_errors(high + cast, item) == pytest.approx((0.02 / 3, 0.02 / 3), abs=1e-6)
    assert tint.square_errors(high + pattern, item) == pytest.approx((0.04, 0.0), abs=1e-6)
    assert tint.square_errors(high + cast + pattern, item) == pytest.approx((0.14 / 3, 0.02 / 3), abs=1e-6)


def test_a_guess_is_as_good_as_photographs_of_a_camera_are_alike(tint: ModuleType, tmp_path: Path) -> None:
    sources = {}
    for camera, seed in (("first", 0), ("second", 10)):
        draw_photographs(tmp_path / camera / "train", count=2, seed=seed, size=96)
        draw_photographs(tmp_path / camera / "test", count=2, seed=seed, size=96)
        sources[camera] = PhotographSource(path=str(tmp_path / camera), split="test")
    # The same two photographs in both splits: each is as far from the mean of the two as the other.
    first, second = tint.tints_of(sources["first"], 64)
    halfway = -10 * np.log10(np.mean(((first - second) / 2) ** 2))
    assert tint.guesses(sources, 64)["first"]["its own"] == pytest.approx(halfway, abs=1e-3)


def test_the_section_has_a_row_for_each_adaptor_and_data_set(tint: ModuleType, tmp_path: Path) -> None:
    for camera in ("first", "second"):
        for seed, split in enumerate(("train", "test")):
            draw_photographs(tmp_path / camera / split, count=1, seed=seed, size=96)
    evaluation = {
        "output_folder": str(tmp_path),
        "data_sets": [
            {"name": camera, "photographs": {"path": str(tmp_path / camera), "split": "test"}}
            for camera in ("first", "second")
        ],
        "degradations": [{"preset": name, "adaptors": [name]} for name in ("light", "mixed")],
    }
    (tmp_path / "evaluate.yaml").write_text(yaml.safe_dump(evaluation))
    results = tint.measure(tint.TintConfig(evaluation=str(tmp_path / "evaluate.yaml")))
    for row in results["enhanced"]:
        assert row["tint given"] >= row["enhanced"]
        assert 0 <= row["share"] <= 1
    *_, table = tint.section(json.loads(json.dumps(results)))
    rows = [line.split(" | ")[:3] for line in table.splitlines()[2:]]
    assert rows == [[f"| {name}", name, camera] for name in ("light", "mixed") for camera in ("first", "second")]
