"""Every registered backbone goes through every recipe: autoencoder, denoiser, adaptor, enhanced photograph.

In this process, since starting one for each recipe and backbone would take minutes; test_recipes.py starts them as a
user does.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from accelerate.state import AcceleratorState, GradientState, PartialState

from retina_adapt.backbones import BackboneShape, backbone_names, load_backbone
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.configuration import configuration_to_dict, parse_configuration
from retina_adapt.enhancement import Enhancer
from retina_adapt.imaging import read_photograph

LOOP = {"steps": 2, "batch_size": 2, "log_every": 2, "validate_every": 2, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    for seed, split in enumerate(("train", "validation")):
        draw_photographs(folder / split, count=2, seed=10 * seed, size=96)
    return folder


@pytest.fixture(autouse=True)
def own_accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Accelerate keeps what the first accelerator of a process was made with."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def run(recipe: str, folder: Path, config: dict) -> None:
    path = folder / f"{recipe}.yaml"
    path.write_text(yaml.safe_dump(config))
    module = load_recipe(recipe)
    config_class = module.main.__annotations__["config"]
    module.main(parse_configuration(config_class, description="", arguments=["--config", str(path)]))


def load_recipe(recipe: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{recipe}", recipes_folder() / f"{recipe}.py")
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look up their own module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", backbone_names())
def test_a_backbone_is_trained_adapted_and_enhances(
    name: str, toy_shape_of: Callable[[str], BackboneShape], photographs: Path, tmp_path: Path
) -> None:
    shape = configuration_to_dict(toy_shape_of(name))
    data = {
        "train": [{"path": str(photographs)}],
        "validation": [{"path": str(photographs), "split": "validation"}],
        "prepared_size": 80,
    }
    trained = tmp_path / "autoencoder" / "backbone"
    run(
        "reconstruct_autoencoder",
        tmp_path,
        {
            "output_folder": str(tmp_path / "autoencoder"),
            "backbone": shape,
            "data": data | {"crop_size": 48},
            "training": LOOP,
        },
    )
    groups = ["encoder", "decoder"]
    if name != "nafnet":
        run(
            "reconstruct_denoiser",
            tmp_path,
            {
                "autoencoder": str(trained),
                "output_folder": str(tmp_path / "denoiser"),
                "backbone": shape,
                "data": data | {"latent_cache_variants": 2},
                "training": LOOP,
            },
        )
        trained = tmp_path / "denoiser" / "backbone"
        groups.append("denoiser")
    run(
        "adapt",
        tmp_path,
        {
            "output_folder": str(tmp_path / "adapted"),
            "backbone": str(trained),
            "train": {"clear": [{"path": str(photographs)}], "degradation": "light"},
            "validation": {"clear": [{"path": str(photographs), "split": "validation"}], "degradation": "light"},
            "adaptor": {"hook_groups": groups, "bottleneck_channels": 4, "context_grid": 4, "context_channels": 4},
            "autoencoder": LOOP,
            "denoiser": LOOP,
        },
    )
    enhancer = Enhancer.from_pretrained(trained)
    enhancer.load_adaptor(tmp_path / "adapted" / "adaptor")
    photograph = read_photograph(next((photographs / "validation").iterdir()))
    modes = ["fast"] if load_backbone(trained).denoiser is None else ["fast", "diffusion"]
    for mode in modes:
        assert (enhancer(photograph, mode=mode).pixels != photograph.pixels).any()
