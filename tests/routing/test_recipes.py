"""The two recipes of the router, end to end at toy size."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from retina_adapt.commands.draw import draw_photographs
from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.imaging import Photograph, read_photograph, write_photograph
from retina_adapt.routing import CLASSES, load_router, read_router_metadata

GRADES = [0.0, 0.3, 0.6, 0.9]


@pytest.fixture(scope="module")
def workshop(start_recipe: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photographs, also hazy ones with their severity as a grade, and a router that was trained on the clear."""
    folder = tmp_path_factory.mktemp("workshop")
    for seed, split in enumerate(("train", "validation", "test")):
        draw_photographs(folder / "photographs" / split, count=4, seed=10 * seed, size=96)
    graded = folder / "graded" / "test"
    rows = []
    for path in sorted((folder / "photographs" / "test").iterdir()):
        for grade in GRADES:
            pixels = read_photograph(path).pixels
            drawn = draw_degradation("haze", seed=1, severity=grade)
            hazy = apply_degradation(pixels, np.ones(pixels.shape[:2], dtype=bool), drawn)
            rows.append({"file_name": f"{path.stem}_{grade}.png", "grade": grade})
            write_photograph(Photograph(hazy), graded / rows[-1]["file_name"])
    (graded / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    photographs = str(folder / "photographs")
    config = {
        "output_folder": str(folder / "run"),
        "train": [{"path": photographs}],
        "validation": [{"path": photographs, "split": "validation"}],
        "presets": ["haze"],
        "clear_share": 0.5,
        "prepared_size": 96,
        "image_size": 64,
        "channels": [4, 8, 8, 8, 8],
        "validation_draws": 1,
        "decision": {"adaptors": {"haze": "my-haze"}, "views": 2},
        "training": {
            "steps": 60,
            "batch_size": 8,
            "learning_rate": 1e-2,
            "warmup_steps": 5,
            "checkpoint_every": 30,
            "validate_every": 60,
        },
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    start_recipe("train_router", "--config", folder / "train.yaml")
    return folder


@pytest.mark.slow
def test_training_leaves_a_router_that_has_learned(workshop: Path) -> None:
    router = load_router(workshop / "run" / "router")
    assert (router.settings.image_size, router.settings.prepared_size) == (64, 96)
    assert router.settings.adaptors == {"haze": "my-haze"}
    metadata = read_router_metadata(workshop / "run" / "router")
    assert (metadata.photographs_seen, metadata.training_steps, metadata.presets) == (4, 60, ["haze"])
    assert metadata.metrics["accuracy"] >= 0.75
    assert 0 < router.settings.clear_threshold < 1


@pytest.mark.slow
def test_an_interrupted_training_resumes_to_the_same_router(start_recipe: Callable[..., str], workshop: Path) -> None:
    run = workshop / "run"
    straight = (run / "router" / "router_config.json").read_text()
    shutil.rmtree(run / "router")
    shutil.rmtree(run / "checkpoints" / "router" / "step-00000060")
    start_recipe("train_router", "--config", workshop / "train.yaml")
    # The sum over the tensors is in it.
    assert (run / "router" / "router_config.json").read_text() == straight


@pytest.mark.slow
def test_evaluation_writes_confusion_severities_and_correlations_with_grades(
    start_recipe: Callable[..., str], workshop: Path, tmp_path: Path
) -> None:
    photographs = {"path": str(workshop / "photographs"), "split": "test"}
    config = {
        "output_folder": str(tmp_path / "evaluation"),
        "router": str(workshop / "run" / "router"),
        "clear": [{"name": "drawn", "photographs": photographs}],
        "graded": [
            {
                "name": "hazy",
                "photographs": {"path": str(workshop / "graded"), "split": "test"},
                "column": "grade",
                "fault": "haze",
                "edges": [0.15, 0.45],
            }
        ],
        "presets": ["haze"],
        "further_presets": ["noise"],
        "severities": [0.5, 1.0],
        "draws": 2,
        "photograph_size": 96,
    }
    (tmp_path / "evaluate.yaml").write_text(yaml.safe_dump(config))
    printed = start_recipe("evaluate_router", "--config", tmp_path / "evaluate.yaml")
    results = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    assert {name: sum(row.values()) for name, row in results["confusion"].items()} == {
        "clear": 4,
        "haze": 8,
        "clear: drawn": 4,
        "preset noise": 8,
    }
    assert {name: sum(row.values()) for name, row in results["graded"]["hazy"]["table"].items()} == {
        "hazy, grade up to 0.15": 4,
        "hazy, grade above 0.15 to 0.45": 4,
        "hazy, grade above 0.45": 8,
    }
    # The photographs are new ones, and the router can do its work.
    assert results["graded"]["hazy"]["rank_correlations"]["severity"] > 0.5
    assert set(results["severities"]) == {"haze 0.5", "haze 1"}
    text = (tmp_path / "evaluation" / "results.md").read_text()
    assert text.strip() in printed
    assert all(f"| {name} |" in text for name in ("clear: drawn", "hazy, grade above 0.45"))
    assert all(name in text for name in CLASSES)
