"""The recipes, end to end at toy size; `adapt` on one process and on two.

That Accelerate's launcher starts recipes, test_demo.py and test_launched.py show.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from two_processes import on_two_processes

from retina_adapt.adaptors import describe_adaptor
from retina_adapt.backbones import fingerprint_tensors, load_backbone
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.enhancement import Enhancer
from retina_adapt.imaging import read_photograph

AUTOENCODER = {"channels": [16, 16], "latent_channels": 4, "normalization_groups": 8}
DENOISER = {
    "channels": [16, 16],
    "attention": [False, False],
    "attention_head_channels": 8,
    "normalization_groups": 8,
}
LOOP = {"steps": 3, "batch_size": 2, "log_every": 1, "validate_every": 3, "checkpoint_every": 2}


def written(config: dict, path: Path) -> Path:
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def workshop(start_recipe: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photographs in split folders, and a toy backbone that the two reconstruction recipes trained on them."""
    folder = tmp_path_factory.mktemp("workshop")
    for seed, split in enumerate(("train", "validation")):
        draw_photographs(folder / "photographs" / split, count=4, seed=10 * seed, size=128)
    photographs = str(folder / "photographs")
    shape = {"image_size": 64, "autoencoder": AUTOENCODER, "denoiser": DENOISER}
    data = {"train": [{"path": photographs}], "validation": [{"path": photographs, "split": "validation"}]}
    config = {
        "output_folder": str(folder / "autoencoder"),
        "backbone": shape,
        "data": data | {"prepared_size": 96, "crop_size": 48},
        "training": LOOP,
    }
    start_recipe("reconstruct_autoencoder", "--config", written(config, folder / "autoencoder.yaml"))
    config = {
        "autoencoder": str(folder / "autoencoder" / "backbone"),
        "output_folder": str(folder / "denoiser"),
        "backbone": shape,
        "data": data | {"prepared_size": 96},
        "condition": {"noise": 0.3},
        "training": LOOP,
    }
    start_recipe("reconstruct_denoiser", "--config", written(config, folder / "denoiser.yaml"))
    return folder


def adapt_config(workshop: Path, output: Path, batch_size: int) -> dict:
    photographs = str(workshop / "photographs")
    loop = LOOP | {"batch_size": batch_size}
    return {
        "output_folder": str(output),
        "backbone": str(workshop / "denoiser" / "backbone"),
        "train": {"clear": [{"path": photographs}], "degradation": "light"},
        "validation": {"clear": [{"path": photographs, "split": "validation"}], "degradation": "light"},
        "adaptor": {"bottleneck_channels": 4, "context_grid": 4, "context_channels": 4},
        "autoencoder": loop,
        "small_frames": {"steps": 1, "size": 32},
        "denoiser": loop,
    }


@pytest.fixture(scope="module")
def adapted(start_recipe: Callable[..., str], workshop: Path) -> Path:
    """What the recipe left behind on one process, with batches of four."""
    config = adapt_config(workshop, workshop / "adapted", batch_size=4)
    start_recipe("adapt", "--config", written(config, workshop / "adapt.yaml"))
    return workshop / "adapted"


@pytest.mark.slow
def test_reconstruction_leaves_a_complete_backbone_with_standardized_latents(workshop: Path) -> None:
    backbone = load_backbone(workshop / "denoiser" / "backbone")
    assert backbone.denoiser is not None
    assert (backbone.latent_deviation != 1).all()
    first = load_backbone(workshop / "autoencoder" / "backbone")
    same = [fingerprint_tensors(part.autoencoder.state_dict()) for part in (first, backbone)]
    assert same[0] == same[1]


@pytest.mark.slow
def test_adaptation_leaves_an_adaptor_that_enhances(workshop: Path, adapted: Path) -> None:
    description = describe_adaptor(adapted / "adaptor")
    assert description.metadata.pairs_seen == 4
    assert description.metadata.training_steps == {"autoencoder": 3, "denoiser": 3}
    assert description.backbone_fingerprint == load_backbone(workshop / "denoiser" / "backbone").fingerprint()

    enhancer = Enhancer.from_pretrained(workshop / "denoiser" / "backbone")
    enhancer.load_adaptor(adapted / "adaptor")
    photograph = read_photograph(next((workshop / "photographs" / "validation").iterdir()))
    for mode in ("fast", "diffusion"):
        assert not np.array_equal(enhancer(photograph, mode=mode).pixels, photograph.pixels)

    events = EventAccumulator(str(adapted / "tensorboard")).Reload()
    for stage in ("autoencoder", "denoiser"):
        for tag in ("loss", "validation/psnr", "validation/ssim"):
            assert f"{stage}/{tag}" in events.Tags()["scalars"]
        assert f"{stage}/low_enhanced_high" in events.Tags()["images"]
    record = json.loads((adapted / "run.json").read_text())
    assert record["config"]["autoencoder"]["steps"] == 3
    assert "torch" in record["versions"]


@pytest.mark.slow
def test_adaptation_in_bfloat16_comes_to_the_same_pictures(
    start_recipe: Callable[..., str], workshop: Path, adapted: Path, tmp_path: Path
) -> None:
    config = adapt_config(workshop, tmp_path / "half", batch_size=4) | {"second_look": {"steps": 1}}
    for stage in ("autoencoder", "denoiser"):
        config[stage] = config[stage] | {"mixed_precision": "bf16"}
    start_recipe("adapt", "--config", written(config, tmp_path / "adapt.yaml"))
    metrics = [describe_adaptor(run / "adaptor").metadata.metrics for run in (adapted, tmp_path / "half")]
    for name, value in metrics[0].items():
        assert metrics[1][name] == pytest.approx(value, rel=0.02), name


@pytest.mark.slow
def test_adaptation_on_two_processes_equals_one_with_twice_the_batch(
    start_recipe: Callable[..., str], workshop: Path, adapted: Path, tmp_path: Path
) -> None:
    two = tmp_path / "two"
    config = written(adapt_config(workshop, two, batch_size=2), tmp_path / "adapt.yaml")
    on_two_processes(lambda _: start_recipe("adapt", "--config", config), tmp_path)
    metrics = [describe_adaptor(run / "adaptor").metadata.metrics for run in (adapted, two)]
    for name, value in metrics[0].items():
        assert metrics[1][name] == pytest.approx(value, rel=1e-3), name
    runs = [json.loads((run / "run.json").read_text()) for run in (adapted, two)]
    assert [run["processes"] for run in runs] == [1, 2]


@pytest.mark.slow
def test_evaluation_writes_a_table_json_and_a_sheet(
    start_recipe: Callable[..., str], workshop: Path, tmp_path: Path
) -> None:
    photographs = {"path": str(workshop / "photographs"), "split": "validation", "limit": 2}
    config = {
        "output_folder": str(tmp_path / "evaluation"),
        "data_sets": [{"name": "drawn", "photographs": photographs}],
        "degradations": [{"preset": "light", "adaptors": ["light"]}],
        "sampling_steps": 1,
    }
    start_recipe("evaluate", "--config", written(config, tmp_path / "evaluate.yaml"))
    results = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    methods = {summary["method"] for summary in results["summaries"]}
    assert methods == {"degraded", "CLAHE", "light, fast", "light, diffusion"}
    assert (tmp_path / "evaluation" / "sheet.png").is_file()
    assert "CLAHE" in (tmp_path / "evaluation" / "results.md").read_text()


def test_a_mistake_in_a_configuration_is_one_line(start_recipe: Callable[..., str], tmp_path: Path) -> None:
    config = written({"output_folder": "x", "autoencodr": {}}, tmp_path / "bad.yaml")
    with pytest.raises(SystemExit) as ended:
        start_recipe("adapt", "--config", config)
    # A text instead of a status: Python prints it, and the status is 1.
    assert ended.value.code.startswith("error:")
    assert len(ended.value.code.splitlines()) == 1
    assert "did you mean 'autoencoder'" in ended.value.code
