"""The training step of `recipes/reconstruct_denoiser.py`."""

from collections.abc import Callable
from types import ModuleType

from retina_adapt.backbones import ReconstructionBackbone


def test_the_autoencoder_encodes_in_training_as_it_does_in_use(
    load_recipe: Callable[[str], ModuleType], toy_backbone: ReconstructionBackbone
) -> None:
    recipe = load_recipe("reconstruct_denoiser")
    step = recipe.DenoisingStep(toy_backbone, recipe.ReconstructDenoiserConfig(autoencoder="toy", output_folder="run"))
    step.train()
    assert step.backbone.denoiser.training
    assert not any(module.training for module in step.backbone.autoencoder.modules())
