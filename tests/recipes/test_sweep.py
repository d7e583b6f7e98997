"""The search for settings: what it tries, what it gives up, and that a killed search goes on as if it had not been."""

import importlib
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState, GradientState, PartialState
from safetensors.torch import load_file
from toy_training import in_another_process

from retina_adapt.backbones import ReconstructionBackbone, save_backbone
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.configuration import ConfigurationError, parse_configuration

SPACE = [
    {"name": "autoencoder.learning_rate", "low": 1e-5, "high": 1e-1, "logarithmic": True},
    {"name": "adaptor.hook_groups", "choices": [["decoder"], ["encoder", "decoder"]]},
    {"name": "adaptor.bottleneck_channels", "low": 2, "high": 8},
]


@pytest.fixture(scope="module")
def sweep() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        patch.syspath_prepend(str(recipes_folder()))
        yield importlib.import_module("sweep")
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


@pytest.fixture(scope="module")
def base(toy_backbone_of: Callable[[str], ReconstructionBackbone], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of recipes/adapt.py that takes a moment."""
    folder = tmp_path_factory.mktemp("base")
    for seed, split in enumerate(("train", "validation")):
        draw_photographs(folder / "photographs" / split, count=2, seed=10 * seed, size=96)
    save_backbone(toy_backbone_of("isotropic-unet"), folder / "backbone")
    photographs = str(folder / "photographs")
    loop = {"steps": 2, "batch_size": 2, "validate_every": 1, "checkpoint_every": 1, "warmup_steps": 0}
    config = {
        "output_folder": "unused",
        "backbone": str(folder / "backbone"),
        "train": {"clear": [{"path": photographs}], "degradation": "light"},
        "validation": {"clear": [{"path": photographs, "split": "validation"}], "degradation": "light"},
        "adaptor": {"hook_groups": ["decoder"], "bottleneck_channels": 4, "context_channels": 4},
        # With these, which trial is below the median is known; the recipe's own weights may change.
        "loss_weights": {"detail": 0.0},
        "autoencoder": loop,
        "denoiser": {"steps": 0},
    }
    (folder / "base.yaml").write_text(yaml.safe_dump(config))
    return folder / "base.yaml"


@pytest.fixture(scope="module")
def search(sweep: ModuleType, base: Path) -> Callable[..., list[dict]]:
    """Runs a search of three trials in a folder; its rows, the best first."""

    def search(folder: Path, **changes: object) -> list[dict]:
        folder.mkdir(exist_ok=True)
        values = {"output_folder": str(folder), "base": str(base), "space": SPACE, "trials": 3, "unpruned_trials": 1}
        (folder / "sweep.yaml").write_text(yaml.safe_dump(values | changes))
        arguments = ["--config", str(folder / "sweep.yaml")]
        sweep.main(parse_configuration(sweep.SweepConfig, description="", arguments=arguments))
        return json.loads((folder / "results.json").read_text())

    return search


@pytest.fixture(scope="module")
def searched(search: Callable[..., list[dict]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    folder = tmp_path_factory.mktemp("searched")
    return folder, search(folder)


@pytest.mark.slow
def test_the_base_is_tried_first_and_a_trial_below_the_median_is_given_up(searched: tuple[Path, list[dict]]) -> None:
    folder, rows = searched
    by_trial = {row["trial"]: row for row in rows}
    assert by_trial[0]["settings"] == {
        "autoencoder.learning_rate": 1e-3,
        "adaptor.hook_groups": ["decoder"],
        "adaptor.bottleneck_channels": 4,
    }
    assert [(by_trial[trial]["state"], by_trial[trial]["steps"]) for trial in range(3)] == [
        ("complete", 2),
        ("complete", 2),
        ("pruned", 1),
    ]
    assert [row["trial"] for row in rows] == [1, 0, 2]
    assert rows[0]["psnr"] > rows[1]["psnr"]
    table = (folder / "results.md").read_text().splitlines()
    assert table[0].startswith("| trial | state | psnr | steps | autoencoder.learning_rate |")
    assert table[2].startswith("| 1 | complete |")
    # Nothing is pickled, and there is no data base.
    assert all(json.loads(line) for line in (folder / "search.jsonl").read_text().splitlines())


@pytest.mark.slow
def test_the_best_configuration_gives_the_best_trials_adaptor(
    sweep: ModuleType, searched: tuple[Path, list[dict]]
) -> None:
    folder, rows = searched
    arguments = ["--config", str(folder / "best.yaml")]
    sweep.adapt(parse_configuration(sweep.AdaptConfig, description="", arguments=arguments))
    trial = folder / "trials" / f"{rows[0]['trial']:04d}"
    again, expected = (load_file(run / "adaptor" / "adaptor_model.safetensors") for run in (folder / "best", trial))
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[name], expected[name]) for name in expected)


def test_the_printed_command_trains_the_best_trial_as_long_as_the_base(
    sweep: ModuleType, base: Path, tmp_path: Path
) -> None:
    changed = {"autoencoder.steps": 1, "train.degradation": "haze", "adaptor.context_channels": 2}
    config = sweep.SweepConfig(
        output_folder=str(tmp_path), base=str(base), space=[sweep.SearchedSetting(**SPACE[0])], overrides=changed
    )
    sweep.store_configuration(sweep.trial_config(config, tmp_path / "best", {}), tmp_path / "best.yaml")
    launcher, verb, recipe, *arguments = shlex.split(sweep.full_training_command(config))
    assert (launcher, verb, Path(recipe).name) == ("accelerate", "launch", "adapt.py")
    found = parse_configuration(sweep.AdaptConfig, description="", arguments=arguments)
    # What else was changed for all trials stays so: they were judged with it.
    assert (found.autoencoder.steps, found.train.degradation, found.adaptor.context_channels) == (2, "haze", 2)
    assert found.output_folder == str(tmp_path / "full")


@pytest.mark.slow
def test_a_search_that_is_killed_amid_a_trial_goes_on_to_the_same_results(
    search: Callable[..., list[dict]], searched: tuple[Path, list[dict]], tmp_path: Path
) -> None:
    folder = tmp_path / "killed"

    def run() -> None:
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
        search(folder)

    process = in_another_process(run)
    end = time.monotonic() + 240
    while not (folder / "trials" / "0001" / "checkpoints" / "autoencoder" / "step-00000001").exists():
        assert process.is_alive()
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert search(folder) == searched[1]
    # What is finished is not searched further, until there shall be more trials.
    assert search(folder) == searched[1]
    with pytest.raises(ConfigurationError, match="another space"):
        search(folder, space=SPACE[:1])


def test_a_trial_whose_settings_do_not_fit_fails_and_the_search_goes_on(
    search: Callable[..., list[dict]], tmp_path: Path
) -> None:
    # Blocks of 7 divide no layer's inputs here; the base's kind does not ask.
    kinds = {"name": "adaptor.kind", "choices": ["boft", "residual"]}
    rows = search(tmp_path / "search", space=[kinds], overrides={"adaptor.rank": 7})
    found = {row["settings"]["adaptor.kind"]: row for row in rows}
    assert found["residual"]["state"] == "complete"
    assert found["boft"]["state"] == "fail"
    assert "blocks of 7" in found["boft"]["error"]


def test_a_setting_that_no_training_can_have_fails_its_trial_alone(
    search: Callable[..., list[dict]], tmp_path: Path
) -> None:
    decay = {"name": "autoencoder.moving_average_decay", "choices": [0.0, 1.5]}
    rows = search(tmp_path / "search", space=[decay], trials=6)
    found = {row["settings"]["autoencoder.moving_average_decay"]: row for row in rows}
    assert found[0.0]["state"] == "complete"
    assert found[1.5]["state"] == "fail"
    assert "it must lie in [0, 1)" in found[1.5]["error"]


@pytest.mark.parametrize(
    "raised",
    [RuntimeError("MPS backend out of memory"), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("a defect")],
)
def test_a_trial_that_runs_out_of_memory_fails_alone_and_a_defect_ends_the_search(
    raised: Exception,
    sweep: ModuleType,
    search: Callable[..., list[dict]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(*_: object) -> None:
        raise raised

    # No machine's memory is filled for a test.
    monkeypatch.setattr(sweep, "adapt", train)
    if str(raised) == "a defect":
        with pytest.raises(RuntimeError, match="a defect"):
            search(tmp_path / "search", trials=1)
    else:
        (row,) = search(tmp_path / "search", trials=1)
        assert (row["state"], row["error"]) == ("fail", str(raised))


def test_the_base_is_found_among_choices_that_are_written_otherwise(sweep: ModuleType, base: Path) -> None:
    setting = sweep.SearchedSetting("loss_weights.structural", choices=[0, 1])
    config = sweep.SweepConfig("out", str(base), [setting], overrides={"loss_weights.structural": 1.0})
    assert setting.of(sweep.trial_config(config, Path("out"), {})) == {"loss_weights.structural": "1"}


def test_a_first_trial_that_is_not_the_base_may_fail_like_any_other(
    search: Callable[..., list[dict]], tmp_path: Path
) -> None:
    kinds = {"name": "adaptor.kind", "choices": ["boft"]}
    (row,) = search(tmp_path / "search", space=[kinds], overrides={"adaptor.rank": 7}, trials=1)
    assert row["state"] == "fail"


def test_a_base_by_its_mere_name_is_the_one_beside_the_recipe(sweep: ModuleType) -> None:
    config = sweep.SweepConfig(output_folder="x", base="adapt_light.yaml", space=[sweep.SearchedSetting(**SPACE[0])])
    assert Path(config.base) == recipes_folder() / "configs" / "adapt_light.yaml"


def test_nothing_is_chosen_by_test_photographs(search: Callable[..., list[dict]], base: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(base.read_text())
    config["validation"]["clear"][0]["split"] = "test"
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigurationError, match="validation has the split 'test'"):
        search(tmp_path / "search", base=str(tmp_path / "base.yaml"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"name": "autoencoder.learnig_rate"}, "did you mean 'autoencoder.learning_rate'"),
        ({"name": "autoencoder.learning_rate"}, "needs choices, or low and a larger high"),
        ({"name": "autoencoder.learning_rate", "low": 2.0, "high": 1.0}, "needs choices, or low and a larger high"),
        ({"name": "autoencoder.learning_rate", "low": 0.0, "high": 1.0, "logarithmic": True}, "low must be above 0"),
        ({"name": "autoencoder.steps", "low": 1.5, "high": 3.0}, "a whole number"),
        ({"name": "adaptor.kind", "low": 1.0, "high": 3.0}, "is not a number; give it choices"),
        ({"name": "flips", "choices": [True], "low": 1.0}, "choices and a range"),
        ({"name": "validation.degradation", "choices": ["haze"]}, "cannot be searched"),
        ({"name": "autoencoder.mixed_precision", "choices": ["no", "bf16"]}, "cannot be searched"),
    ],
)
def test_a_setting_that_cannot_be_searched_is_an_error(setting: dict, message: str, sweep: ModuleType) -> None:
    with pytest.raises(ConfigurationError, match=message):
        sweep.SearchedSetting(**setting)


def test_a_mistake_in_the_search_is_an_error_before_anything_is_trained(
    search: Callable[..., list[dict]], tmp_path: Path
) -> None:
    for changes, message in (
        ({"stage": "decoder"}, "use autoencoder or denoiser"),
        ({"stage": "denoiser"}, "denoiser.steps is 0"),
        ({"trials": 0}, "trials is 0; it must be at least 1"),
        ({"space": [{"name": "adaptor.rank", "choices": [2, 4]}]}, "'residual' does not read adaptor.rank"),
        ({"stage": "denoiser", "overrides": {"denoiser.steps": 1}}, "has no adaptor in it"),
        ({"space": [{"name": "adaptor.hook_groups", "choices": [["denoiser"]]}]}, "has no adaptor in it"),
        ({"overrides": {"start_from": "light"}}, "whose shape is fixed, so adaptor"),
        ({"overrides": {"autoencoder.stepz": 3}}, "did you mean 'autoencoder.steps'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            search(tmp_path / "search", **changes)
    assert not (tmp_path / "search" / "trials").exists()
