"""The training steps of adaptation: what they compute, and what they leave out because nothing learns from it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from retina_adapt.adaptation import AdaptationLossWeights, AutoencoderAdaptationStep, DenoiserAdaptationStep
from retina_adapt.adaptors import AdaptorSettings, adaptors_bypassed, attach_adaptor, train_only
from retina_adapt.backbones import ReconstructionBackbone
from retina_adapt.configuration import ConfigurationError
from retina_adapt.enhancement import apply_change, combine_looks
from retina_adapt.objectives import masked_absolute_error, structural_dissimilarity


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


@dataclass
class WeightsWithTint(AdaptationLossWeights):
    """With the weight of a loss of one's own."""

    tint: float = 1.0


class TintStep(AutoencoderAdaptationStep):
    def judge(self, enhanced: Tensor, batch: dict[str, Tensor], *, scale: int = 1) -> dict[str, Tensor]:
        tint = (enhanced - batch["high"]).mean(dim=(2, 3)).abs().mean()
        return super().judge(enhanced, batch, scale=scale) | {"tint": tint}


def test_a_loss_of_ones_own_on_pictures_may_be_the_only_one(
    backbone: ReconstructionBackbone, batch: dict[str, Tensor]
) -> None:
    parameters = adapted(backbone, ["decoder"])
    weights = WeightsWithTint(pixel=0, structural=0, logarithmic=0, detail=0, tint=2.0)
    assert weights.on_pictures
    assert not weights.on_latents
    step = TintStep(backbone, weights)
    losses = step(batch)
    assert losses.keys() == {"loss", "tint"}
    assert losses["loss"] == 2 * losses["tint"]
    assert any(gradient.any() for gradient in gradients(step, batch, parameters))


def test_adaptors_in_the_decoder_alone_get_the_gradients_of_all_losses_without_a_graph_of_the_encoder(
    backbone: ReconstructionBackbone, batch: dict[str, Tensor]
) -> None:
    parameters = adapted(backbone, ["decoder"])
    weights = AdaptationLossWeights(
        latent_adaptation=1.0, latent_preservation=1.0, pixel=10.0, structural=1.0, logarithmic=0.0, detail=0.0
    )
    step = AutoencoderAdaptationStep(backbone, weights)
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
def test_large_frames_are_judged_by_both_looks(backbone: ReconstructionBackbone, groups: list[str]) -> None:
    side = 2 * backbone.settings.image_size
    torch.manual_seed(4)
    batch = {name: torch.rand(2, 3, side, side) for name in ("low", "high")}
    # Not aligned to the frame's pixels: one that lies half outside of the field of view is outside.
    batch["mask"] = torch.zeros(2, 1, side, side, dtype=torch.bool)
    batch["mask"][:, :, 5 : side - 9, 7 : side - 3] = True
    frame = {name: nn.functional.avg_pool2d(batch[name], 2) for name in ("low", "high")}
    frame["mask"] = torch.zeros(2, 1, side // 2, side // 2, dtype=torch.bool)
    frame["mask"][:, :, 3 : (side - 9) // 2, 4 : (side - 3) // 2] = True
    parameters = adapted(backbone, groups)
    weights = AdaptationLossWeights(pixel=1.0, structural=0.0, logarithmic=0.0, detail=0.0)
    losses = AutoencoderAdaptationStep(backbone, weights)(batch)
    with torch.no_grad():
        changes = []
        for low in (frame["low"], batch["low"]):
            reconstruction = backbone.decode(backbone.encode(low))
            with adaptors_bypassed(backbone):
                changes.append(reconstruction - backbone.decode(backbone.encode(low)))
    of_frame = masked_absolute_error(frame["low"] + changes[0], frame["high"], frame["mask"])
    of_larger = masked_absolute_error(batch["low"] + combine_looks(*changes), batch["high"], batch["mask"])
    torch.testing.assert_close(losses["loss"], of_frame + of_larger)
    assert any(gradient.abs().max() > 0 for gradient in torch.autograd.grad(losses["loss"], parameters))


@pytest.mark.parametrize(("groups", "encodings"), [(["denoiser.mid"], 2), (["encoder", "denoiser.mid"], 2)])
def test_the_denoisers_adaptors_learn_without_a_graph_of_the_encoder(
    backbone: ReconstructionBackbone, batch: dict[str, Tensor], groups: list[str], encodings: int
) -> None:
    adapted(backbone, groups)
    parameters = [
        parameter.requires_grad_("denoiser" in name)
        for name, parameter in backbone.named_parameters()
        if "residual_adaptor" in name
    ]
    encoded = watch_encoder(backbone)
    step = DenoiserAdaptationStep(backbone)
    found = gradients(step, batch, [parameter for parameter in parameters if parameter.requires_grad])
    assert all(gradient.isfinite().all() for gradient in found)
    assert [output.requires_grad for output in encoded] == [False] * encodings


@pytest.mark.parametrize(
    ("groups", "left"), [(["decoder"], 0), (["denoiser.mid"], 0), (["encoder", "decoder"], 1), (["encoder"], 1)]
)
def test_cached_latents_give_the_same_gradients_and_leave_what_is_adapted_to_be_encoded(
    backbone: ReconstructionBackbone, batch: dict[str, Tensor], groups: list[str], left: int
) -> None:
    cached = dict(batch)
    with torch.no_grad():
        for name in ("low", "high"):
            cached[f"{name}_latent"] = backbone.encode(batch[name])
    parameters = adapted(backbone, groups)
    if groups == ["denoiser.mid"]:
        step = DenoiserAdaptationStep(backbone)
    else:
        weights = AdaptationLossWeights(latent_adaptation=1.0, latent_preservation=1.0)
        step = AutoencoderAdaptationStep(backbone, weights)
    expected = gradients(step, batch, parameters)
    encoded = watch_encoder(backbone)
    torch.testing.assert_close(gradients(step, cached, parameters), expected)
    assert len(encoded) == left


@pytest.mark.parametrize("groups", [["encoder", "denoiser.mid"], ["encoder", "decoder", "denoiser.mid"]])
def test_the_denoiser_aims_where_the_decoder_is_at_home(
    backbone: ReconstructionBackbone, batch: dict[str, Tensor], groups: list[str]
) -> None:
    adapted(backbone, groups)
    aims: list[Tensor] = []
    add_noise = backbone.scheduler.add_noise

    def watched(latents: Tensor, *others: Tensor) -> Tensor:
        aims.append(latents)
        return add_noise(latents, *others)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(backbone.scheduler, "add_noise", watched)
        DenoiserAdaptationStep(backbone)(batch)
        adapted_latent = backbone.encode(batch["high"])
        with adaptors_bypassed(backbone):
            frozen_latent = backbone.encode(batch["high"])
    torch.testing.assert_close(aims[0], adapted_latent if "decoder" in groups else frozen_latent)


def test_a_latent_loss_without_weight_is_not_computed(
    backbone: ReconstructionBackbone, batch: dict[str, Tensor]
) -> None:
    adapted(backbone, ["encoder"])
    encoded = watch_encoder(backbone)
    losses = AutoencoderAdaptationStep(backbone, AdaptationLossWeights(latent_adaptation=1.0))(batch)
    assert "latent_preservation" not in losses
    assert [len(output) for output in encoded if output.requires_grad] == [2]


@pytest.mark.parametrize("side", [64, 128])
def test_where_no_loss_is_left_the_step_says_so(
    side: int, backbone: ReconstructionBackbone, batch: dict[str, Tensor]
) -> None:
    adapted(backbone, ["decoder"] if side == 64 else ["encoder"])
    of_the_paper = AdaptationLossWeights(1.0, 1.0, pixel=0, structural=0, logarithmic=0, detail=0)
    sized = {name: torch.rand(2, 3, side, side) for name in ("low", "high")}
    sized["mask"] = torch.ones(2, 1, side, side, dtype=torch.bool)
    with pytest.raises(ConfigurationError, match=r"no loss is left.*give a loss on pictures a weight"):
        AutoencoderAdaptationStep(backbone, of_the_paper)(batch | sized)


class Unsteady(nn.Module):
    """Does in training what it does not do otherwise, and remembers what it has seen."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.normalization = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(0.5)

    def forward(self, features: Tensor) -> Tensor:
        return self.dropout(self.normalization(features))


def test_the_frozen_backbone_does_in_training_as_it_does_in_use(
    backbone: ReconstructionBackbone, batch: dict[str, Tensor]
) -> None:
    encoder = backbone.autoencoder.encoder
    seen = encoder.register_forward_pre_hook(lambda module, inputs: shapes.append(inputs[0].shape))
    shapes: list[torch.Size] = []
    backbone.encode(batch["low"])
    seen.remove()
    encoder.unsteady = Unsteady(shapes[0][1]).eval().requires_grad_(False)
    encoder.register_forward_pre_hook(lambda module, inputs: (module.unsteady(inputs[0]),))
    settings = AdaptorSettings(kind="residual", hook_groups=["decoder"], bottleneck_channels=4, context_channels=4)
    adapted = attach_adaptor(backbone, settings.to_peft_config(), "adaptor")
    train_only(adapted, "adaptor", ["decoder"])
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    step = AutoencoderAdaptationStep(backbone, AdaptationLossWeights(logarithmic=0.0)).train()
    # An adaptor at the identity changes nothing, so that a clear photograph stays as it is.
    losses = step(batch | {"high": batch["low"]})
    assert losses["pixel"] == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_a_loss_of_ones_own_judges_both_looks(backbone: ReconstructionBackbone, batch: dict[str, Tensor]) -> None:
    @dataclass
    class Weights(AdaptationLossWeights):
        brightness: float = 2.0

    class Step(AutoencoderAdaptationStep):
        def judge(self, enhanced: Tensor, batch: dict[str, Tensor], *, scale: int = 1) -> dict[str, Tensor]:
            losses = super().judge(enhanced, batch, scale=scale)
            return losses | {"brightness": (enhanced.mean() - batch["high"].mean()).square()}

    parameters = adapted(backbone, ["decoder"])
    step = Step(backbone, Weights(pixel=1.0, structural=0.0, logarithmic=0.0, detail=0.0))
    doubled = {
        name: tensor if name == "seed" else tensor.repeat_interleave(2, -1).repeat_interleave(2, -2)
        for name, tensor in batch.items()
    }
    for frames in (batch, doubled):
        losses = step(frames)
        torch.testing.assert_close(losses["loss"], losses["pixel"] + 2 * losses["brightness"])
        assert any(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(losses["brightness"], parameters))
