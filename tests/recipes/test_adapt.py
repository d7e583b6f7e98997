"""recipes/adapt.py, run in this process: what it refuses, and that what a run gives depends on what it should."""

import importlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState, GradientState, PartialState
from safetensors.torch import load_file
from torch import Tensor

from retina_adapt.adaptors import AdaptorFileError, MetadataError, describe_adaptor
from retina_adapt.backbones import (
    HookPointError,
    ReconstructionBackbone,
    SamplingStepsError,
    load_backbone,
    save_backbone,
)
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.configuration import ConfigurationError, parse_configuration
from retina_adapt.data import PairingError
from retina_adapt.training import CheckpointError

LOOP = {"steps": 3, "batch_size": 2, "log_every": 3, "validate_every": 3, "checkpoint_every": 3}


@pytest.fixture(scope="module")
def adapt() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(recipes_folder()))
        yield importlib.import_module("adapt")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pairs a split, of two folders each: other photographs of the same size serve as the low ones."""
    folder = tmp_path_factory.mktemp("pairs")
    for seed, name in enumerate(("train/low", "train/high", "validation/low", "validation/high")):
        draw_photographs(folder / name, count=6, seed=100 * seed, size=96)
        for number, path in enumerate(sorted((folder / name).iterdir())):
            path.rename(path.with_stem(f"eye_{number}"))
    return folder


@pytest.fixture
def run(
    adapt: ModuleType,
    pairs: Path,
    toy_backbone_of: Callable[[str], ReconstructionBackbone],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., dict[str, Tensor]]]:
    """Runs the recipe on the pairs, in this process; returns the adaptor's tensors."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    save_backbone(toy_backbone_of("isotropic-unet"), tmp_path / "backbone")

    def run(name: str, groups: list[str], **changes: object) -> dict[str, Tensor]:
        sources = {
            split: {f"{kind}_folder": str(pairs / split / kind) for kind in ("low", "high")}
            for split in ("train", "validation")
        }
        config = {
            "output_folder": str(tmp_path / name),
            "backbone": str(tmp_path / "backbone"),
            **sources,
            "adaptor": {"hook_groups": groups, "bottleneck_channels": 4, "context_channels": 4},
            "autoencoder": LOOP,
            "denoiser": LOOP,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config | changes))
        adapt.main(parse_configuration(adapt.AdaptConfig, description="", arguments=["--config", str(path)]))
        return load_file(tmp_path / name / "adaptor" / "adaptor_model.safetensors")

    yield run
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"small_frames": {"steps": 2}, "second_look": {"steps": 2}},
            "together they must be at most autoencoder.steps",
        ),
        (
            {
                "second_look": {"steps": 1},
                "loss_weights": {
                    "latent_adaptation": 1.0,
                    **dict.fromkeys(("pixel", "structural", "logarithmic", "detail"), 0.0),
                },
            },
            "losses on pictures",
        ),
        ({"small_frames": {"steps": 1, "size": 128}}, "a multiple of 4 from 16 to 64"),
        ({"small_frames": {"steps": 1, "size": 18}}, "a multiple of 4 from 16 to 64"),
        ({"small_frames": {"steps": 1, "size": 8}}, "a multiple of 4 from 16 to 64"),
        ({"small_frames": {"steps": -1}}, "must not be negative"),
        ({"second_look": {"steps": 1, "batch_size": 0}}, "batch_size must be at least 1"),
        ({"autoencoder": {"steps": 0}, "denoiser": {"steps": 0}}, "nothing would be trained"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_it_begins(
    run: Callable[..., dict[str, Tensor]], changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run("refused", ["decoder"], **changes)


@pytest.mark.parametrize("steps", [0, 251])
def test_sampling_steps_that_a_validation_would_refuse_are_refused_before_the_training(
    run: Callable[..., dict[str, Tensor]], tmp_path: Path, steps: int
) -> None:
    with pytest.raises(SamplingStepsError, match=f"{steps} sampling steps were asked for; from 0.25"):
        run("refused", ["decoder", "denoiser.mid"], sampling_steps=steps)
    assert not (tmp_path / "refused").exists()


def test_a_run_ends_with_a_second_look(run: Callable[..., dict[str, Tensor]]) -> None:
    once, again = (run(name, ["decoder"], second_look={"steps": 2, "batch_size": 1}) for name in ("once", "again"))
    torch.testing.assert_close(again, once, rtol=0, atol=0)
    plain = run("plain", ["decoder"])
    assert any(not torch.equal(tensor, plain[name]) for name, tensor in once.items())


@pytest.mark.slow
@pytest.mark.parametrize("groups", [["decoder", "denoiser.mid"], ["encoder", "decoder"]])
def test_neither_the_latent_cache_nor_checkpointing_changes_what_a_run_gives(
    run: Callable[..., dict[str, Tensor]], groups: list[str]
) -> None:
    plain = run("plain", groups)
    assert any(tensor.abs().max() > 0 for name, tensor in plain.items() if name.endswith("weight"))
    torch.testing.assert_close(run("cached", groups, latent_cache=True), plain)
    checkpointed = LOOP | {"gradient_checkpointing": True}
    torch.testing.assert_close(run("checkpointed", groups, autoencoder=checkpointed, denoiser=checkpointed), plain)


def test_a_latent_cache_of_pairs_that_are_degraded_anew_is_refused(run: Callable[..., dict[str, Tensor]]) -> None:
    with pytest.raises(ConfigurationError, match="latent_cache is for real pairs"):
        run("refused", ["decoder"], latent_cache=True, train={"clear": [{"path": "x"}], "degradation": "light"})


def test_a_run_ends_with_what_it_gained(
    run: Callable[..., dict[str, Tensor]], pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("run", ["decoder"], denoiser={"steps": 0})
    told = capsys.readouterr().out
    metrics = describe_adaptor(tmp_path / "run" / "adaptor").metadata.metrics
    assert f"PSNR {metrics['fast psnr_degraded']:.2f} -> {metrics['fast psnr']:.2f} dB" in told
    assert "on 6 validation pairs" in told
    # The decoder of a toy backbone makes of one eye anything but another.
    assert metrics["fast psnr"] < metrics["fast psnr_degraded"]
    assert "worse than the degraded photographs" in told


def test_validation_on_copies_of_what_is_trained_on_is_refused(
    run: Callable[..., dict[str, Tensor]], pairs: Path, tmp_path: Path
) -> None:
    for side in ("low", "high"):
        shutil.copytree(pairs / "validation" / side, tmp_path / "copies" / side)
        copied = tmp_path / "copies" / side / "eye_0.png"
        shutil.copyfile(pairs / "train" / side / "eye_3.png", copied)
    validation = {f"{side}_folder": str(tmp_path / "copies" / side) for side in ("low", "high")}
    with pytest.raises(PairingError, match=r"eye_0\.png: is to validate with, .* same photograph as .*eye_3\.png"):
        run("run", ["decoder"], validation=validation)


def test_a_card_that_cannot_be_stored_is_refused_before_the_training(
    run: Callable[..., dict[str, Tensor]], tmp_path: Path
) -> None:
    with pytest.raises(MetadataError, match="'name': 'Light v1' cannot name"):
        run("refused", ["decoder"], card={"name": "Light v1"})
    assert not (tmp_path / "refused" / "checkpoints").exists()


def test_a_run_on_streamed_photographs_gives_the_same_again(run: Callable[..., dict[str, Tensor]], pairs: Path) -> None:
    streamed = {"path": str(pairs / "train" / "high"), "streaming": True}
    train = {"clear": [streamed], "degradation": "light", "clear_share": 0.2, "tone_variation": 0.4}
    once, again = (run(name, ["decoder"], train=train, denoiser=LOOP | {"steps": 0}) for name in ("once", "again"))
    torch.testing.assert_close(again, once, rtol=0, atol=0)
    assert any(tensor.abs().max() > 0 for name, tensor in once.items() if name.endswith("weight"))


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"denoiser": {"steps": 0}}, {"encoder", "decoder"}),
        (
            {
                "loss_weights": {
                    "latent_adaptation": 1.0,
                    "latent_preservation": 1.0,
                    **dict.fromkeys(("pixel", "structural", "logarithmic", "detail"), 0.0),
                }
            },
            {"encoder", "denoiser"},
        ),
    ],
)
def test_an_adaptor_that_no_stage_trains_is_left_out(
    run: Callable[..., dict[str, Tensor]], changes: dict[str, object], kept: set[str]
) -> None:
    tensors = run("trained", ["encoder", "decoder", "denoiser.mid"], **changes)
    parts = {part for name in tensors for part in ("encoder", "decoder", "denoiser") if f"{part}." in name}
    assert parts == kept


def test_a_second_stage_is_not_kept_beside_a_first_that_was_trained_further(
    run: Callable[..., dict[str, Tensor]], tmp_path: Path
) -> None:
    groups = ["encoder", "denoiser.mid"]
    run("run", groups)
    longer = LOOP | {"steps": 4}
    with pytest.raises(CheckpointError, match="trained on other frozen networks"):
        run("run", groups, autoencoder=longer)
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "denoiser")
    run("run", groups, autoencoder=longer)
    assert describe_adaptor(tmp_path / "run" / "adaptor").metadata.training_steps == {"autoencoder": 4, "denoiser": 3}


def test_a_run_is_not_kept_on_another_backbone_in_the_same_folder(
    run: Callable[..., dict[str, Tensor]], tmp_path: Path
) -> None:
    run("run", ["decoder"])
    backbone = load_backbone(tmp_path / "backbone")
    with torch.no_grad():
        next(backbone.parameters()).add_(1e-3)
    save_backbone(backbone, tmp_path / "backbone")
    with pytest.raises(CheckpointError, match="trained on other frozen networks"):
        run("run", ["decoder"])


def test_a_run_goes_on_from_another_adaptor(run: Callable[..., dict[str, Tensor]], tmp_path: Path) -> None:
    first = run("first", ["decoder", "denoiser.mid"], card={"name": "first", "data_sets": ["one", "both"]})
    start = tmp_path / "first" / "adaptor"
    second = run(
        "second",
        ["denoiser.mid", "decoder"],
        start_from=str(start),
        autoencoder=LOOP | {"learning_rate": 1e-9},
        denoiser=LOOP | {"steps": 0},
        card={"name": "second", "data_sets": ["both", "another"]},
    )
    # What no stage trains would no longer fit the rest; what is trained has begun where the first run ended.
    assert set(second) == {name for name in first if "decoder." in name}
    for name, tensor in second.items():
        torch.testing.assert_close(tensor, first[name], rtol=0, atol=1e-7)
    assert any(not torch.equal(tensor, first[name]) for name, tensor in second.items())
    metadata = describe_adaptor(tmp_path / "second" / "adaptor").metadata
    assert metadata.data_sets == [
        "both",
        "another",
        "one (seen by the adaptor that this one goes on from, first)",
    ]
    assert f"from the adaptor first ({describe_adaptor(start).sha256[:12]}…)" in metadata.recipe
    assert metadata.training_steps == {"autoencoder": 3}
    assert metadata.metrics["start psnr"] == pytest.approx(describe_adaptor(start).metadata.metrics["fast psnr"])


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        (
            {"adaptor": {"hook_groups": ["decoder"], "bottleneck_channels": 6, "context_channels": 4}},
            AdaptorFileError,
            r"bottleneck_channels \(4, not 6\)",
        ),
        (
            {"adaptor": {"hook_groups": ["encoder"], "bottleneck_channels": 4, "context_channels": 4}},
            AdaptorFileError,
            "covers only decoder",
        ),
        ({"card": {"license": "MIT"}}, ConfigurationError, "has the licence Apache-2.0, and card.license says MIT"),
        ({"output_folder": "first"}, ConfigurationError, "use another output_folder"),
    ],
)
def test_a_start_that_cannot_be_gone_on_from_is_refused(
    run: Callable[..., dict[str, Tensor]], tmp_path: Path, changes: dict, error: type[Exception], said: str
) -> None:
    before = run("first", ["decoder"], denoiser=LOOP | {"steps": 0})
    if "output_folder" in changes:
        changes = {"output_folder": str(tmp_path / changes["output_folder"]), "autoencoder": LOOP | {"resume": "auto"}}
        (tmp_path / "first" / "run.json").unlink()
    with pytest.raises(error, match=said):
        run("second", ["decoder"], start_from=str(tmp_path / "first" / "adaptor"), **changes)
    kept = load_file(tmp_path / "first" / "adaptor" / "adaptor_model.safetensors")
    torch.testing.assert_close(kept, before, rtol=0, atol=0)


def test_a_mistyped_hook_group_is_an_error(run: Callable[..., dict[str, Tensor]]) -> None:
    with pytest.raises(HookPointError, match="no hook group 'decodr'"):
        run("refused", ["encoder", "decodr"])


def test_the_card_says_what_is_wrong_with_real_pairs(run: Callable[..., dict[str, Tensor]], tmp_path: Path) -> None:
    run("named", ["decoder"], card={"degradation": "haze of an old lens"})
    metadata = describe_adaptor(tmp_path / "named" / "adaptor").metadata
    assert metadata.degradation == "haze of an old lens"
    assert "haze of an old lens" in (tmp_path / "named" / "adaptor" / "README.md").read_text()
