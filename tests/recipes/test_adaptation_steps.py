"""The training steps of recipes/adapt.py: what they compute, and what they leave out because nothing learns from it."""

import copy
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState, GradientState, PartialState
from safetensors.torch import load_file
from torch import Tensor, nn

from retina_adapt.adaptors import AdaptorSettings, MetadataError, adaptors_bypassed, attach_adaptor, train_only
from retina_adapt.backbones import ReconstructionBackbone, save_backbone
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.configuration import ConfigurationError, parse_configuration
from retina_adapt.enhancement import apply_change, combine_looks
from retina_adapt.objectives import masked_absolute_error, structural_dissimilarity

LOOP = {"steps": 3, "batch_size": 2, "log_every": 3, "validate_every": 3, "checkpoint_every": 3}


@pytest.fixture(scope="module")
def adapt() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(recipes_folder()))
        yield importlib.import_module("adapt")


@pytest.fixture
def backbone(toy_backbone_of: Callable[[str], ReconstructionBackbone]) -> ReconstructionBackbone:
    """As if trained: its blocks all do something."""
    backbone = copy.deepcopy(toy_backbone_of("isotropic-unet"))
    torch.manual_seed(1)
    for parameter in backbone.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    return backbone


@pytest.fixture
def batch() -> dict[str, Tensor]:
    torch.manual_seed(2)
    images = {name: torch.rand(2, 3, 64, 64) for name in ("low", "high")}
    return images | {"mask": torch.ones(2, 1, 64, 64, dtype=torch.bool), "seed": torch.tensor([11, 12])}


def adapted(backbone: ReconstructionBackbone, groups: list[str]) -> list[nn.Parameter]:
    """Attach an adaptor that changes something already; its parameters."""
    settings = AdaptorSettings(hook_groups=groups, bottleneck_channels=4, context_channels=4, identity_start=False)
    return train_only(attach_adaptor(backbone, settings.to_peft_config(), "adaptor"), "adaptor", groups)


def watch_encoder(backbone: ReconstructionBackbone) -> list[Tensor]:
    """What the encoder puts out from now on."""
    seen: list[Tensor] = []
    backbone.autoencoder.encoder.register_forward_hook(lambda module, inputs, output: seen.append(output))
    return seen


def gradients(step: nn.Module, batch: dict[str, Tensor], parameters: list[nn.Parameter]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(step(batch)["loss"], parameters)


def test_adaptors_in_the_decoder_alone_get_the_gradients_of_all_losses_without_a_graph_of_the_encoder(
    adapt: ModuleType, backbone: ReconstructionBackbone, batch: dict[str, Tensor]
) -> None:
    parameters = adapted(backbone, ["decoder"])
    weights = adapt.AdaptationLossWeights(
        latent_adaptation=1.0, latent_preservation=1.0, pixel=10.0, structural=1.0, logarithmic=0.0, detail=0.0
    )
    step = adapt.AutoencoderAdaptationStep(backbone, weights)
    # With a graph of everything, and the losses on latents.
    low, high = batch["low"].clone().requires_grad_(True), batch["high"]
    with adaptors_bypassed(backbone):
        high_latent, frozen = backbone.encode(high), backbone.decode(backbone.encode(low)).detach()
    adapted_low, adapted_high = backbone.encode(torch.cat([low, high])).chunk(2)
    assert adapted_low.requires_grad
    enhanced = apply_change(batch["low"], backbone.decode(adapted_low), frozen)
    expected = torch.autograd.grad(
        (high_latent - adapted_low).abs().mean()
        + (high_latent - adapted_high).abs().mean()
        + weights.pixel * masked_absolute_error(enhanced, high, batch["mask"])
        + weights.structural * structural_dissimilarity(enhanced, high),
        parameters,
    )
    encoded = watch_encoder(backbone)
    found = gradients(step, batch, parameters)
    assert [output.requires_grad for output in encoded] == [False]
    assert [len(output) for output in encoded] == [2]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("groups", [["encoder", "decoder"], ["decoder"], ["encoder"]])
def test_large_frames_are_judged_by_both_looks(
    adapt: ModuleType, backbone: ReconstructionBackbone, groups: list[str]
) -> None:
    side = 2 * backbone.settings.image_size
    torch.manual_seed(4)
    batch = {name: torch.rand(2, 3, side, side) for name in ("low", "high")}
    batch["mask"] = torch.ones(2, 1, side, side, dtype=torch.bool)
    frame = {name: nn.functional.avg_pool2d(batch[name], 2) for name in ("low", "high")}
    parameters = adapted(backbone, groups)
    weights = adapt.AdaptationLossWeights(pixel=1.0, structural=0.0, logarithmic=0.0, detail=0.0)
    losses = adapt.AutoencoderAdaptationStep(backbone, weights)(batch)
    with torch.no_grad():
        changes = []
        for low in (frame["low"], batch["low"]):
            reconstruction = backbone.decode(backbone.encode(low))
            with adaptors_bypassed(backbone):
                changes.append(reconstruction - backbone.decode(backbone.encode(low)))
    of_frame = (frame["low"] + changes[0] - frame["high"]).abs().mean()
    of_larger = (batch["low"] + combine_looks(*changes) - batch["high"]).abs().mean()
    torch.testing.assert_close(losses["loss"], of_frame + of_larger)
    assert any(gradient.abs().max() > 0 for gradient in torch.autograd.grad(losses["loss"], parameters))


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
        ({"sampling_steps": 0}, "sampling_steps is 0"),
        ({"autoencoder": {"steps": 0}, "denoiser": {"steps": 0}}, "nothing would be trained"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_it_begins(
    run: Callable[..., dict[str, Tensor]], changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run("refused", ["decoder"], **changes)


def test_a_run_ends_with_a_second_look(run: Callable[..., dict[str, Tensor]]) -> None:
    once, again = (run(name, ["decoder"], second_look={"steps": 2, "batch_size": 1}) for name in ("once", "again"))
    torch.testing.assert_close(again, once, rtol=0, atol=0)
    plain = run("plain", ["decoder"])
    assert any(not torch.equal(tensor, plain[name]) for name, tensor in once.items())


@pytest.mark.parametrize(("groups", "encodings"), [(["denoiser.mid"], 2), (["encoder", "denoiser.mid"], 2)])
def test_the_denoisers_adaptors_learn_without_a_graph_of_the_encoder(
    adapt: ModuleType, backbone: ReconstructionBackbone, batch: dict[str, Tensor], groups: list[str], encodings: int
) -> None:
    adapted(backbone, groups)
    parameters = [
        parameter.requires_grad_("denoiser" in name)
        for name, parameter in backbone.named_parameters()
        if "residual_adaptor" in name
    ]
    encoded = watch_encoder(backbone)
    step = adapt.DenoiserAdaptationStep(backbone)
    found = gradients(step, batch, [parameter for parameter in parameters if parameter.requires_grad])
    assert all(gradient.isfinite().all() for gradient in found)
    assert [output.requires_grad for output in encoded] == [False] * encodings


@pytest.mark.parametrize(
    ("groups", "left"), [(["decoder"], 0), (["denoiser.mid"], 0), (["encoder", "decoder"], 1), (["encoder"], 1)]
)
def test_cached_latents_give_the_same_gradients_and_leave_what_is_adapted_to_be_encoded(
    adapt: ModuleType, backbone: ReconstructionBackbone, batch: dict[str, Tensor], groups: list[str], left: int
) -> None:
    cached = dict(batch)
    with torch.no_grad():
        for name in ("low", "high"):
            cached[f"{name}_latent"] = backbone.encode(batch[name])
    parameters = adapted(backbone, groups)
    if groups == ["denoiser.mid"]:
        step = adapt.DenoiserAdaptationStep(backbone)
    else:
        weights = adapt.AdaptationLossWeights(latent_adaptation=1.0, latent_preservation=1.0)
        step = adapt.AutoencoderAdaptationStep(backbone, weights)
    expected = gradients(step, batch, parameters)
    encoded = watch_encoder(backbone)
    torch.testing.assert_close(gradients(step, cached, parameters), expected)
    assert len(encoded) == left


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pairs of two folders: other photographs of the same size serve as the low ones."""
    folder = tmp_path_factory.mktemp("pairs")
    for seed, name in enumerate(("low", "high")):
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
        source = {"low_folder": str(pairs / "low"), "high_folder": str(pairs / "high")}
        config = {
            "output_folder": str(tmp_path / name),
            "backbone": str(tmp_path / "backbone"),
            "train": source,
            "validation": source,
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


def test_a_card_that_cannot_be_stored_is_refused_before_the_training(
    run: Callable[..., dict[str, Tensor]], tmp_path: Path
) -> None:
    with pytest.raises(MetadataError, match="'name' is 'Light v1'"):
        run("refused", ["decoder"], card={"name": "Light v1"})
    assert not (tmp_path / "refused" / "checkpoints").exists()


def test_a_run_on_streamed_photographs_gives_the_same_again(run: Callable[..., dict[str, Tensor]], pairs: Path) -> None:
    streamed = {"path": str(pairs / "high"), "streaming": True}
    train = {"clear": [streamed], "degradation": "light", "clear_share": 0.2, "tone_variation": 0.4}
    once, again = (run(name, ["decoder"], train=train, denoiser=LOOP | {"steps": 0}) for name in ("once", "again"))
    torch.testing.assert_close(again, once, rtol=0, atol=0)
    assert any(tensor.abs().max() > 0 for name, tensor in once.items() if name.endswith("weight"))


@pytest.mark.parametrize("groups", [["encoder", "denoiser.mid"], ["encoder", "decoder", "denoiser.mid"]])
def test_the_denoiser_aims_where_the_decoder_is_at_home(
    adapt: ModuleType, backbone: ReconstructionBackbone, batch: dict[str, Tensor], groups: list[str]
) -> None:
    adapted(backbone, groups)
    aims: list[Tensor] = []
    add_noise = backbone.scheduler.add_noise

    def watched(latents: Tensor, *others: Tensor) -> Tensor:
        aims.append(latents)
        return add_noise(latents, *others)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(backbone.scheduler, "add_noise", watched)
        adapt.DenoiserAdaptationStep(backbone)(batch)
        adapted_latent = backbone.encode(batch["high"])
        with adaptors_bypassed(backbone):
            frozen_latent = backbone.encode(batch["high"])
    torch.testing.assert_close(aims[0], adapted_latent if "decoder" in groups else frozen_latent)
