"""`recipes/benchmark.py enhance`, as its users start it, at toy size."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_files import save_toy_adaptor

from retina_adapt.backbones import ReconstructionBackbone
from retina_adapt.commands.draw import draw_photographs


def test_it_measures_sampling_and_frames_and_judges_the_targets_by_what_it_measured(
    start_recipe: Callable[..., str],
    toy_backbone: ReconstructionBackbone,
    toy_backbone_folder: Path,
    tmp_path: Path,
) -> None:
    save_toy_adaptor(toy_backbone, tmp_path / "adaptor")
    models = ["--backbone", toy_backbone_folder, "--adaptor", tmp_path / "adaptor"]
    draw_photographs(tmp_path / "photographs" / "validation", count=1, seed=0, size=300)
    photographs = json.dumps({"path": str(tmp_path / "photographs"), "split": "validation"})
    options = ["--photographs", photographs, "--schedulers", "[DDIMScheduler]", "--steps", "[1, 2]"]
    small = ["--batch_sizes", "[1, 2]", "--repetitions", 1, "--device", "cpu"]
    written = ["--results", tmp_path / "enhance.json", "--document", tmp_path / "results.md"]
    printed = start_recipe("benchmark", "enhance", *models, *options, *small, *written)
    assert printed.strip() in (tmp_path / "results.md").read_text()
    results = json.loads((tmp_path / "enhance.json").read_text())
    by_steps = {row["steps"]: row for row in results["sampling"]}
    assert set(by_steps) == {0, 1, 2, 50}
    assert by_steps[50]["to_reference"] == 0
    assert by_steps[1]["to_reference"] == pytest.approx(by_steps[1]["psnr"] - by_steps[50]["psnr"])
    ratios = {row["measured"]: row["ratio"] for row in results["frames"]}
    assert {"fast", "diffusion, 1 steps", "diffusion, 50 steps"} <= set(ratios)
    assert min(ratios.values()) > 0
    assert ratios["diffusion, 50 steps"] == 1
    assert f"{1 / ratios['fast']:.0f} times" in printed
    assert results["floor"]["measured"] > 0
