"""Settings that would train in the wrong direction, or not at all, are errors before anything is read."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from retina_adapt.backbones import BackboneShape, SamplingStepsError, build_backbone, save_backbone
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.configuration import ConfigurationError
from retina_adapt.data import DataSourceError, PairingError, PhotographSource
from retina_adapt.degradations import SeverityError, UnknownPresetError
from retina_adapt.routing import RouterSettingsError


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
        (
            "train_router",
            "TrainRouterConfig",
            {"output_folder": "a", "train": [], "validation": [], "validation_draws": 0},
            "validation_draws is 0",
        ),
        (
            "train_router",
            "TrainRouterConfig",
            {"output_folder": "a", "train": [], "validation": [], "severity_weight": -1.0},
            "severity_weight is -1",
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
        ("evaluate", "EvaluateConfig", {"output_folder": "a", "seed": -1}, "seed is -1"),
        (
            "evaluate_reconstruction",
            "EvaluateReconstructionConfig",
            {"output_folder": "a", "data_sets": [], "seed": -1},
            "seed is -1",
        ),
        *(
            ("evaluate_router", "EvaluateRouterConfig", {"output_folder": "a", "clear": [None], **value}, said)
            for value, said in (
                ({"seed": -1}, "seed is -1"),
                ({"draws": 0}, "draws is 0"),
                ({"photograph_size": 0}, "photograph_size is 0"),
            )
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    load_recipe: Callable[[str], ModuleType], recipe: str, name: str, values: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        getattr(load_recipe(recipe), name)(**values)


def test_crops_that_the_backbone_cannot_take_are_refused(
    load_recipe: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    recipe = load_recipe("reconstruct_autoencoder")
    config = recipe.ReconstructAutoencoderConfig(output_folder=str(tmp_path))
    config.data.crop_size = 130
    with pytest.raises(ConfigurationError, match=r"crop_size is 130.*a multiple of 4"):
        recipe.setup(config)


def test_a_codebook_is_trained_by_a_configuration_that_does_not_say_so(
    load_recipe: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    recipe = load_recipe("reconstruct_autoencoder")
    weights = {}
    for name in ("kl-unet", "vq-unet"):
        config = recipe.ReconstructAutoencoderConfig(output_folder=str(tmp_path), backbone=BackboneShape(name=name))
        weights[name] = recipe.ReconstructionStep(build_backbone(config.backbone), config).weights.regularization
    assert weights == {"kl-unet": 1e-6, "vq-unet": 1.0}


def test_a_perceptual_reference_for_other_channels_is_refused(
    load_recipe: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    recipe = load_recipe("reconstruct_autoencoder")
    config = recipe.ReconstructAutoencoderConfig(output_folder=str(tmp_path), backbone=BackboneShape(image_channels=1))
    config.loss_weights.perceptual = 1.0
    with pytest.raises(ConfigurationError, match="perceptual_reference: nano sees 3 channels"):
        recipe.ReconstructionStep(build_backbone(config.backbone), config)


@pytest.mark.parametrize("steps", [0, 1001])
def test_sampling_steps_that_the_noise_schedule_does_not_have_are_refused(
    load_recipe: Callable[[str], ModuleType], tmp_path: Path, steps: int
) -> None:
    recipe = load_recipe("reconstruct_denoiser")
    save_backbone(build_backbone(BackboneShape()).without_denoiser(), tmp_path / "backbone")
    config = recipe.ReconstructDenoiserConfig(
        autoencoder=str(tmp_path / "backbone"), output_folder=str(tmp_path / "run"), sampling_steps=steps
    )
    with pytest.raises(SamplingStepsError, match=f"{steps} sampling steps"):
        recipe.setup(config)


def test_a_degradation_that_is_evaluated_twice_is_refused(load_recipe: Callable[[str], ModuleType]) -> None:
    recipe = load_recipe("evaluate")
    degradations = [recipe.EvaluatedDegradation("haze", ["haze"]), recipe.EvaluatedDegradation("haze", ["mixed"])]
    with pytest.raises(ConfigurationError, match="haze is listed more than once"):
        recipe.EvaluateConfig("out", [recipe.EvaluatedDataSet("a", None)], degradations)


def test_what_would_be_told_apart_by_one_name_is_refused(load_recipe: Callable[[str], ModuleType]) -> None:
    evaluate, evaluate_router = load_recipe("evaluate"), load_recipe("evaluate_router")
    with pytest.raises(ConfigurationError, match="data_sets: the names a, a must differ"):
        evaluate.EvaluateConfig(
            "out", [evaluate.EvaluatedDataSet("a", None)] * 2, [evaluate.EvaluatedDegradation("haze", ["haze"])]
        )
    reconstruction = load_recipe("evaluate_reconstruction")
    with pytest.raises(ConfigurationError, match="data_sets: the names a, a must differ"):
        reconstruction.EvaluateReconstructionConfig("out", [reconstruction.ReconstructedDataSet("a", None)] * 2)
    with pytest.raises(ConfigurationError, match="clear: the names a, a must differ"):
        evaluate_router.EvaluateRouterConfig("out", [evaluate_router.ClearDataSet("a", None)] * 2)
    with pytest.raises(ConfigurationError, match="an adaptor of light is listed more than once"):
        evaluate.EvaluatedDegradation("light", ["light", "light"])


def test_a_degradation_that_there_is_not_is_refused_before_the_others_are_scored(
    load_recipe: Callable[[str], ModuleType],
) -> None:
    evaluate = load_recipe("evaluate")
    with pytest.raises(UnknownPresetError, match="no_such"):
        evaluate.EvaluatedDegradation("no_such", ["light"])
    with pytest.raises(SeverityError):
        evaluate.EvaluatedDegradation("light", ["light"], severity=[0.5, 1.5])
    router = load_recipe("evaluate_router")
    clear = [router.ClearDataSet("a", None)]
    with pytest.raises(UnknownPresetError, match="no_such"):
        router.EvaluateRouterConfig("out", clear, further_presets=["no_such"])
    with pytest.raises(SeverityError):
        router.EvaluateRouterConfig("out", clear, severities=[1.5])


def test_nothing_to_evaluate_on_is_refused(load_recipe: Callable[[str], ModuleType]) -> None:
    with pytest.raises(ConfigurationError, match="clear is empty"):
        load_recipe("evaluate_router").EvaluateRouterConfig("out", [])
    with pytest.raises(ConfigurationError, match="data_sets is empty"):
        load_recipe("evaluate_reconstruction").EvaluateReconstructionConfig("out", [])


@pytest.mark.parametrize("size", [250, 0])
def test_a_frame_that_the_backbone_cannot_take_is_refused(
    load_recipe: Callable[[str], ModuleType], tmp_path: Path, size: int
) -> None:
    recipe = load_recipe("evaluate_reconstruction")
    data_sets = [recipe.ReconstructedDataSet("a", None)]
    config = recipe.EvaluateReconstructionConfig(str(tmp_path), data_sets, frame_sizes=[256, size])
    with pytest.raises(ConfigurationError, match=rf"frame_sizes: {size} .* multiples of 16"):
        recipe.main(config)


def test_mistakes_in_the_last_data_set_are_told_before_the_first_is_measured(
    load_recipe: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_photographs(tmp_path / "drawn", count=1, seed=0, size=96)
    drawn, typo = PhotographSource(str(tmp_path / "drawn")), PhotographSource(str(tmp_path / "typo"))
    reconstruction, router = load_recipe("evaluate_reconstruction"), load_recipe("evaluate_router")
    monkeypatch.setattr(reconstruction, "reconstruct_frames", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.setattr(router, "confusion", lambda *_: pytest.fail("measured"))
    data_sets = [reconstruction.ReconstructedDataSet(name, source) for name, source in (("a", drawn), ("b", typo))]
    with pytest.raises(DataSourceError, match="typo"):
        reconstruction.main(reconstruction.EvaluateReconstructionConfig(str(tmp_path / "out"), data_sets))
    clear = [router.ClearDataSet("a", drawn)]
    graded = [router.GradedDataSet("a", drawn, "score", "haze", [])]
    with pytest.raises(ConfigurationError, match="no column 'score'; there are image"):
        router.main(router.EvaluateRouterConfig(str(tmp_path / "out"), clear, graded))


def test_refused_settings_leave_no_record_of_a_run(load_recipe: Callable[[str], ModuleType], tmp_path: Path) -> None:
    recipe = load_recipe("train_router")
    config = recipe.TrainRouterConfig(str(tmp_path / "run"), train=[], validation=[], image_size=100)
    with pytest.raises(RouterSettingsError):
        recipe.main(config)
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_router_is_not_validated_on_its_training_photographs(
    load_recipe: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    draw_photographs(tmp_path / "drawn", count=1, seed=0, size=96)
    recipe, drawn = load_recipe("train_router"), [PhotographSource(str(tmp_path / "drawn"))]
    with pytest.raises(PairingError, match="is the same photograph as"):
        recipe.main(recipe.TrainRouterConfig(str(tmp_path / "run"), train=drawn, validation=drawn))
