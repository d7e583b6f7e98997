"""What differs between two adaptors is found, measured, and judged for hot-swapping."""

import dataclasses
from pathlib import Path

import pytest
import torch
from toy_adaptors import METADATA
from toy_files import SMALL, TENSORS, save_toy_adaptor

from retina_adapt.adaptors import AdaptorFileError, hot_swap, load_adaptor
from retina_adapt.adaptors.comparison import ABSENT, compare_adaptors, relative_distance
from retina_adapt.adaptors.files import read_adaptor
from retina_adapt.backbones import ReconstructionBackbone


def test_copies_are_identical(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_toy_adaptor(toy_backbone, tmp_path / name)
    comparison = compare_adaptors(tmp_path / "a", tmp_path / "b")
    assert comparison.identical
    assert comparison.hot_swappable
    assert comparison.configuration == {}
    assert set(comparison.distances.values()) == {0.0}


def test_other_weights_of_the_same_settings_are_hot_swappable_and_measured(
    toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    save_toy_adaptor(toy_backbone, tmp_path / "a", seed=0)
    better = dataclasses.replace(METADATA, metrics={"fast psnr": 22.0})
    save_toy_adaptor(toy_backbone, tmp_path / "b", seed=1, metadata=better)
    comparison = compare_adaptors(tmp_path / "a", tmp_path / "b")
    assert not comparison.identical
    assert comparison.configuration == {"metadata.metrics.fast psnr": (21.5, 22.0)}
    assert comparison.unmatched == []
    assert all(0 < distance <= 2 for distance in comparison.distances.values())
    # What the comparison says is so, can be done.
    assert comparison.hot_swappable
    hot_swap(load_adaptor(toy_backbone, tmp_path / "a", "resident"), "resident", read_adaptor(tmp_path / "b")[1])


def test_other_settings_are_named_and_not_hot_swappable(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    wider = dataclasses.replace(SMALL, bottleneck_channels=6)
    save_toy_adaptor(toy_backbone, tmp_path / "a")
    save_toy_adaptor(toy_backbone, tmp_path / "b", settings=wider)
    comparison = compare_adaptors(tmp_path / "a", tmp_path / "b")
    assert comparison.configuration == {"settings.bottleneck_channels": (4, 6)}
    assert comparison.unmatched
    assert not comparison.hot_swappable


def test_other_kinds_have_settings_that_the_other_lacks(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    save_toy_adaptor(toy_backbone, tmp_path / "a")
    save_toy_adaptor(toy_backbone, tmp_path / "b", settings=dataclasses.replace(SMALL, kind="lora"))
    comparison = compare_adaptors(tmp_path / "a", tmp_path / "b")
    assert comparison.configuration["adaptor_kind"] == ("residual", "lora")
    assert comparison.configuration["settings.r"] == (ABSENT, 8)
    assert comparison.distances == {}
    assert not comparison.hot_swappable


def test_a_damaged_adaptor_is_not_compared(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_toy_adaptor(toy_backbone, tmp_path / name)
    (tmp_path / "b" / TENSORS).write_bytes(b"")
    with pytest.raises(AdaptorFileError, match="not a whole safetensors file"):
        compare_adaptors(tmp_path / "a", tmp_path / "b")


def test_the_relative_distance_is_that_of_its_formula() -> None:
    a, b = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 0.0])
    assert relative_distance(a, a) == 0
    assert relative_distance(b, b) == 0
    assert relative_distance(a, b) == relative_distance(b, a) == 1
    assert relative_distance(a, -a) == 2
    assert relative_distance(a, 2 * a) == pytest.approx(0.5)
