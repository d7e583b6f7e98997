"""Every registered backbone goes through every recipe: autoencoder, denoiser, adaptor, enhanced photograph.

In this process, since starting one for each recipe and backbone would take minutes; test_recipes.py starts them as a
user does.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from accelerate.state import AcceleratorState, GradientState, PartialState

from retina_adapt.backbones import BackboneShape, backbone_names, load_backbone
from retina_adapt.configuration import configuration_to_dict, parse_configuration
from retina_adapt.enhancement import Enhancer
from retina_adapt.imaging import Photograph, read_photograph, write_photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus

LOOP = {"steps": 2, "batch_size": 2, "log_every": 2, "validate_every": 2, "checkpoint_every": 2}


# What is off by default, in both reconstruction recipes. The perceptual term's reference knows colour only.
EVERY_TERM = {
    "adversarial": {"weight": 0.5, "base_channels": 8, "layers": 1},
    "loss_weights": {"perceptual": 0.1},
    "training": LOOP | {"gradient_checkpointing": True, "moving_average_decay": 0.9},
}
# This backbone goes the same way with grey photographs of 16 bits; test_recipes.py takes it through in colour.
GREY = "kl-unet"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """By channels, a folder of photographs in colour with 8 bits, and one of grey ones with 16."""
    folders = {3: tmp_path_factory.mktemp("colour"), 1: tmp_path_factory.mktemp("grey")}
    for seed in range(4):
        colour, _, _ = draw_fundus(seed, 96)
        for (channels, folder), pixels in zip(folders.items(), (colour, colour[..., 1:2]), strict=True):
            bit_depth = 8 if channels == 3 else 16
            photograph = Photograph(pixels, bit_depth=bit_depth, alpha=None, icc_profile=None, exif=None, source=None)
            write_photograph(photograph, folder / ("train" if seed % 2 else "validation") / f"{seed}.png")
    return folders


@pytest.fixture(autouse=True)
def own_accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Accelerate keeps what the first accelerator of a process was made with."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


@pytest.fixture
def run(load_recipe: Callable[[str], ModuleType], tmp_path: Path) -> Callable[[str, dict], None]:
    """`run("adapt", config)`: run a recipe with this configuration."""

    def run_in_this_process(recipe: str, config: dict) -> None:
        path = tmp_path / f"{recipe}.yaml"
        path.write_text(yaml.safe_dump(config))
        module = load_recipe(recipe)
        config_class = module.main.__annotations__["config"]
        module.main(parse_configuration(config_class, description="", arguments=["--config", str(path)]))

    return run_in_this_process


@pytest.mark.slow
@pytest.mark.parametrize("name", backbone_names())
def test_a_backbone_is_trained_adapted_and_enhances(
    name: str,
    toy_shape_of: Callable[..., BackboneShape],
    drawn: dict[int, Path],
    run: Callable[[str, dict], None],
    tmp_path: Path,
) -> None:
    channels = 1 if name == GREY else 3
    photographs = drawn[channels]
    shape = configuration_to_dict(toy_shape_of(name, image_channels=channels))
    data = {
        "train": [{"path": str(photographs)}],
        "validation": [{"path": str(photographs), "split": "validation"}],
        "prepared_size": 80,
    }
    trained = tmp_path / "autoencoder" / "backbone"
    run(
        "reconstruct_autoencoder",
        {
            "output_folder": str(tmp_path / "autoencoder"),
            "backbone": shape,
            "data": data | {"crop_size": 48},
            "training": LOOP,
        }
        | (EVERY_TERM if channels == 3 else {}),
    )
    groups = ["encoder", "decoder"]
    if name != "nafnet":
        run(
            "reconstruct_denoiser",
            {
                "autoencoder": str(trained),
                "output_folder": str(tmp_path / "denoiser"),
                "backbone": shape,
                "data": data | {"latent_cache_variants": 2},
                "condition": {"dropout": 0.2, "degraded": True},
                "min_snr_gamma": 5.0,
                "training": EVERY_TERM["training"],
            },
        )
        trained = tmp_path / "denoiser" / "backbone"
        groups.append("denoiser")
    run(
        "adapt",
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
        enhanced = enhancer(photograph, mode=mode)
        assert (enhanced.pixels != photograph.pixels).any()
        assert (enhanced.pixels.shape, enhanced.bit_depth) == (photograph.pixels.shape, photograph.bit_depth)
