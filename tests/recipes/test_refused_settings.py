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
        ("train_router", "RouterDecision", {"largest_touched_share": 1.0}, "below 1"),
        ("train_router", "RouterDecision", {"views": 0}, "views is 0"),
        ("train_router", "RouterDecision", {"smallest_crop": 1.2}, "smallest_crop is 1.2"),
        (
            "evaluate_router",
            "GradedDataSet",
            {"name": "a", "photographs": None, "column": "score", "fault": "hase", "edges": []},
            "no class 'hase'; did you mean 'haze'",
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    load_recipe: Callable[[str], ModuleType], recipe: str, name: str, values: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        getattr(load_recipe(recipe), name)(**values)


def test_a_degradation_that_is_evaluated_twice_is_refused(load_recipe: Callable[[str], ModuleType]) -> None:
    recipe = load_recipe("evaluate")
    degradations = [recipe.EvaluatedDegradation("haze", ["haze"]), recipe.EvaluatedDegradation("haze", ["mixed"])]
    with pytest.raises(ConfigurationError, match="haze is there more than once"):
        recipe.EvaluateConfig("out", [], degradations)
