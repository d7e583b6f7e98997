"""`recipes/benchmark.py adaptors` at toy size."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from retina_adapt.backbones import ReconstructionBackbone, save_backbone


def written_to(folder: Path) -> list[str]:
    return ["--results", str(folder / "adaptors.json"), "--document", str(folder / "results.md")]


@pytest.mark.slow
def test_it_measures_every_kind_and_writes_what_it_prints(
    start_recipe: Callable[..., str], trained_backbone_of: Callable[[str], ReconstructionBackbone], tmp_path: Path
) -> None:
    save_backbone(trained_backbone_of("isotropic-transformer"), tmp_path / "backbone")
    options = ["--backbone", tmp_path / "backbone", *written_to(tmp_path), "--rank", 2]
    # Compiling takes minutes on a busy machine; tests/adaptors/test_hot_swap.py compiles every kind.
    printed = start_recipe("benchmark", "adaptors", *options, "--repeats", 1, "--compile", "false")
    results = json.loads((tmp_path / "adaptors.json").read_text())
    assert printed.strip() in (tmp_path / "results.md").read_text()
    assert results["plain"]["compiled_block"] is None
    for kind, costs in results["kinds"].items():
        assert f"| {kind} | {costs['parameters']:,} |" in printed
        assert costs["file_bytes"] > costs["hot_swap_bytes"] == 4 * costs["parameters"] > 0
        assert (costs["merged"] is None) == (kind in ("residual", "serial"))
    assert list(results["kinds"]) == ["residual", "serial", "lora", "dora", "loha", "lokr", "ia3", "boft"]


def test_an_unknown_kind_is_an_error(start_recipe: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="kinds unknown: oft"):
        start_recipe("benchmark", "adaptors", "--kinds", "[oft]", *written_to(tmp_path))
