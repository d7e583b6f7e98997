"""`recipes/benchmark.py adaptors`, as its users start it, at toy size."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retina_adapt.backbones import ReconstructionBackbone, save_backbone
from retina_adapt.commands.recipes import recipes_folder


def benchmark(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(recipes_folder() / "benchmark.py"), "adaptors", *(str(option) for option in options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_it_measures_every_kind_and_writes_what_it_prints(
    trained_backbone_of: Callable[[str], ReconstructionBackbone], tmp_path: Path
) -> None:
    save_backbone(trained_backbone_of("isotropic-transformer"), tmp_path / "backbone")
    options = ["--backbone", tmp_path / "backbone", "--output_folder", tmp_path / "out", "--rank", 2]
    # Compiling takes minutes on a busy machine; tests/adaptors/test_hot_swap.py compiles every kind.
    done = benchmark(*options, "--repeats", 1, "--compile", "false")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "adaptors.json").read_text())
    assert (tmp_path / "out" / "adaptors.md").read_text() in done.stdout + "\n"
    assert results["plain"]["compiled_block"] is None
    for kind, costs in results["kinds"].items():
        assert f"| {kind} | {costs['parameters']:,} |" in done.stdout
        assert costs["file_bytes"] > costs["hot_swap_bytes"] == 4 * costs["parameters"] > 0
        assert (costs["merged"] is None) == (kind in ("residual", "serial"))
    assert list(results["kinds"]) == ["residual", "serial", "lora", "dora", "loha", "lokr", "ia3", "boft"]


@pytest.mark.slow
def test_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    done = benchmark("--kinds", "[oft]", "--output_folder", tmp_path)
    assert done.returncode != 0
    assert "kinds unknown: oft" in done.stderr
    assert "Traceback" not in done.stderr
