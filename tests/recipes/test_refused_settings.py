"""Settings that would train in the wrong direction, or not at all, are errors before anything is read."""

from collections.abc import Callable
from types import ModuleType

import pytest

from retina_adapt.configuration import ConfigurationError


@pytest.mark.parametrize(
    ("recipe", "name", "values", "said"),
    [
        ("reconstruct_autoencoder", "AutoencoderLossWeights", {"structural": -1.0}, "structural is -1"),
        ("reconstruct_autoencoder", "AutoencoderLossWeights", {"structural_scales": 0}, "must be at least 1"),
        ("reconstruct_denoiser", "ConditionCorruption", {"noise": -1.0}, "must not be negative"),
        ("reconstruct_denoiser", "ConditionCorruption", {"dropout": 1.5}, "must lie in"),
        (
            "reconstruct_denoiser",
            "ReconstructDenoiserConfig",
            {"autoencoder": "a", "output_folder": "b", "min_snr_gamma": 0.5},
            "at least 1, and 0 is off",
        ),
        (
            "train_router",
            "TrainRouterConfig",
            {"output_folder": "a", "train": [], "validation": [], "severity": []},
            "the lowest and the highest",
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    load_recipe: Callable[[str], ModuleType], recipe: str, name: str, values: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        getattr(load_recipe(recipe), name)(**values)
