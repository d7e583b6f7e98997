"""The benchmark of the method's claims, as its users start it, on drawn photographs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.recipes import recipes_folder

SPLITS = {"train": 4, "validation": 1, "test": 1}


def launch(config: Path, *options: str) -> str:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    command += [str(recipes_folder() / "benchmark.py"), "claims", "--config", str(config), *options]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env=os.environ | {"ACCELERATE_USE_CPU": "true"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed quick configuration, but for its photographs, its folders and a question about them."""
    folder = tmp_path_factory.mktemp("claims")
    for seed, (split, count) in enumerate(SPLITS.items()):
        draw_photographs(folder / "photographs" / split, count=count, seed=100 * seed, size=128)
    config = yaml.safe_load((recipes_folder() / "configs" / "benchmark_claims_quick.yaml").read_text())
    config |= {
        "output_folder": str(folder / "trainings"),
        "results": str(folder / "claims.json"),
        "document": str(folder / "results.md"),
        "figures": str(folder / "figures"),
        "data_sets": [{"name": "drawn", "path": str(folder / "photographs")}],
        "curve": [10],
        "steps": 10,
        "batch_size": 2,
    }
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.slow
def test_the_quick_benchmark_has_every_arm_and_cell_and_adapted_beats_degraded(quick: Path) -> None:
    printed = launch(quick)
    config = yaml.safe_load(quick.read_text())
    results = json.loads(Path(config["results"]).read_text())
    trainings = list(results["trainings"].values())
    by_arm = {found["training"]["arm"]: found for found in trainings if found["training"]["pairs"] == 0}
    assert set(by_arm) == set(config["arms"])
    fixed = {(each["training"]["arm"], each["training"]["pairs"]) for each in trainings if each["training"]["pairs"]}
    assert fixed == {(arm, pairs) for arm in config["pairs_arms"] for pairs in config["pair_counts"]}
    assert set(results["classical"]) == {"CLAHE", "illumination correction", "backbone alone"}
    scores = by_arm["ours"]["scores"]["drawn"]
    assert scores["psnr_enhanced"] > scores["psnr_degraded"] + 0.5
    assert by_arm["ours"]["trainable_parameters"] < 0.05 * by_arm["ours"]["backbone_parameters"]
    document = Path(config["document"]).read_text()
    assert all(f"| {arm} |" in document for arm in config["arms"])
    assert "nan" not in document
    assert {path.name for path in Path(config["figures"]).iterdir()} == {"pairs.png", "parameters.png"}
    assert "0 of" not in printed

    # Again: nothing is left to train, and the document is the same.
    assert "0 of" in launch(quick)
    assert Path(config["document"]).read_text() == document
