"""Two processes over gloo give what one does with twice the batch, in the recipes that test_recipes.py does not launch.

Their validation has three photographs, so that one process has more of them than the other.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from accelerate.state import AcceleratorState, GradientState, PartialState
from two_processes import on_two_processes

from retina_adapt.backbones import BackboneShape, ReconstructionBackbone, save_backbone
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.configuration import configuration_to_dict, parse_configuration
from retina_adapt.training.run_record import read_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("drawn")
    draw_photographs(folder / "train", count=4, seed=0, size=96)
    draw_photographs(folder / "validation", count=3, seed=10, size=96)
    return {"train": [{"path": str(folder)}], "validation": [{"path": str(folder), "split": "validation"}]}


@pytest.fixture
def configurations(
    data: dict,
    toy_shape_of: Callable[[str], BackboneShape],
    toy_backbone_of: Callable[[str], ReconstructionBackbone],
    tmp_path: Path,
) -> dict[str, dict]:
    """What each recipe reads, but for its output folder and the settings of its training."""
    save_backbone(toy_backbone_of("isotropic-unet"), tmp_path / "toy")
    shape = configuration_to_dict(toy_shape_of("isotropic-unet"))
    return {
        "reconstruct_autoencoder": {"backbone": shape, "data": data | {"prepared_size": 80, "crop_size": 48}},
        "reconstruct_denoiser": {
            "autoencoder": str(tmp_path / "toy"),
            "backbone": shape,
            "data": data | {"prepared_size": 80},
            "sampling_steps": 1,
        },
        "train_router": data
        | {
            "presets": ["haze"],
            "prepared_size": 96,
            "image_size": 64,
            "channels": [4, 8, 8, 8, 8],
            "validation_draws": 1,
            "decision": {"views": 1},
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["reconstruct_autoencoder", "reconstruct_denoiser", "train_router"])
def test_two_processes_give_the_scores_of_one_with_twice_the_batch(
    recipe: str,
    configurations: dict[str, dict],
    load_recipe: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    module = load_recipe(recipe)

    def run(name: str, batch_size: int) -> None:
        training = {"steps": 2, "batch_size": batch_size, "validate_every": 2, "checkpoint_every": 2}
        config = configurations[recipe] | {"output_folder": str(tmp_path / name), "training": training}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        config_class = module.main.__annotations__["config"]
        module.main(parse_configuration(config_class, description="", arguments=["--config", str(path)]))

    run("one", batch_size=4)
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    on_two_processes(lambda _: run("two", batch_size=2), tmp_path)
    one, two = (read_run(tmp_path / name) for name in ("one", "two"))
    assert (one["processes"], two["processes"]) == (1, 2)
    (expected,), (found,) = one["trainings"].values(), two["trainings"].values()
    assert expected["scores"]
    assert found["scores"] == pytest.approx(expected["scores"], rel=1e-3)
