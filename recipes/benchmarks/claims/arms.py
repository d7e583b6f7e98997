"""The arms of the comparison: what each trains, by which losses, and how it enhances. All on one backbone shape."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from adapt import AdaptationLossWeights, AutoencoderAdaptationStep, DenoiserAdaptationStep
from peft import PeftModel
from torch import Tensor, nn

from retina_adapt.adaptors import AdaptorSettings, attach_adaptor, train_only
from retina_adapt.backbones import ReconstructionBackbone, sample_latents
from retina_adapt.enhancement import apply_change, enhance_frames, reconstruct_frames
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.objectives import (
    latent_adaptation_loss,
    latent_preservation_loss,
    masked_absolute_error,
    structural_dissimilarity,
)

ADAPTOR = "adaptor"
WITH_BRANCHES = " with branches"
AUTOENCODER_GROUPS = ["encoder", "decoder"]
PAPER_LOSSES = AdaptationLossWeights(latent_adaptation=1.0, latent_preservation=1.0, pixel=0.0, structural=0.0)


class UnknownArmError(RetinaAdaptError):
    """An arm that this benchmark does not have."""


@dataclass
class Stage:
    """A training: its module's `forward(batch)` returns the losses, "loss" being the one to minimise."""

    step: nn.Module
    parameters: list[nn.Parameter]
    share_of_steps: float = 1.0


@dataclass
class Arm:
    """What is trained, and what is made of a degraded frame (batch, channels, height, width) in [0, 1] afterwards."""

    stages: list[Stage]
    enhance: Callable[[Tensor], Tensor]

    @property
    def trainable_parameters(self) -> int:
        return sum(parameter.numel() for stage in self.stages for parameter in stage.parameters)


class FullFineTuningStep(nn.Module):
    """The adaptor's own losses, for an autoencoder all of whose weights are trained; the frozen one stands beside."""

    def __init__(self, backbone: ReconstructionBackbone, weights: AdaptationLossWeights) -> None:
        super().__init__()
        self.backbone = backbone
        # Not a submodule, so that it is neither trained nor counted.
        self.frozen = [copy.deepcopy(backbone).requires_grad_(False)]
        self.weights = weights

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        low, high = batch["low"], batch["high"]
        with torch.no_grad():
            high_latent = self.frozen[0].encode(high)
            reconstructed = reconstruct_frames(self.frozen[0], low)
        adapted_low, adapted_high = self.backbone.encode(torch.cat([low, high])).chunk(2)
        enhanced = apply_change(low, self.backbone.decode(adapted_low), reconstructed)
        losses = {
            "latent_adaptation": latent_adaptation_loss(high_latent, adapted_low),
            "latent_preservation": latent_preservation_loss(high_latent, adapted_high),
            "pixel": masked_absolute_error(enhanced, high, batch["mask"]),
            "structural": structural_dissimilarity(enhanced, high),
        }
        return {"loss": sum(getattr(self.weights, name) * value for name, value in losses.items())}

    @torch.no_grad()
    def enhance(self, low: Tensor) -> Tensor:
        return apply_change(low, reconstruct_frames(self.backbone, low), reconstruct_frames(self.frozen[0], low))


class ScratchStep(nn.Module):
    """An image-to-image network: degraded photograph in, clear one out, by the pixel and structural losses."""

    def __init__(self, backbone: ReconstructionBackbone, weights: AdaptationLossWeights) -> None:
        super().__init__()
        self.backbone = backbone
        self.weights = weights

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        result = reconstruct_frames(self.backbone, batch["low"])
        pixel = masked_absolute_error(result, batch["high"], batch["mask"])
        structural = structural_dissimilarity(result, batch["high"])
        return {"loss": self.weights.pixel * pixel + self.weights.structural * structural}

    @torch.no_grad()
    def enhance(self, low: Tensor) -> Tensor:
        return reconstruct_frames(self.backbone, low)


def build_arm(
    name: str,
    backbone: ReconstructionBackbone,
    settings: AdaptorSettings,
    weights: AdaptationLossWeights,
) -> Arm:
    """The arm `name` on this backbone, which is changed in place.

    ours: adaptors in the autoencoder. lora: the same with LoRA of as many parameters. ours and denoiser: adaptors in
    the denoiser besides, trained and sampled as the recipe does. paper: serial adaptors with the authors' start in
    encoder and denoiser, the paper's two latent losses, then the diffusion loss, and sampling from noise. paper,
    decoded: the same without its denoiser. full fine-tuning: every weight of the autoencoder, from the reconstruction
    backbone. scratch: the same, from random weights, with no frozen backbone beside. A name ending in `with branches`
    has our adaptor's branches in the trained network too, so that the comparison holds the architecture equal.

    Raises:
        UnknownArmError: for another name.
    """
    if name == "lora":
        settings = replace(settings, kind="lora", rank=_matched_rank(backbone, settings))
    if name in ("ours", "lora", "ours and denoiser"):
        adapted = attach_adaptor(backbone, settings.to_peft_config(), ADAPTOR)
        stages = [_autoencoder_stage(backbone, adapted, settings, weights)]
        if name != "ours and denoiser":
            return Arm(stages, lambda low: enhance_frames(backbone, low))
        stages[0].share_of_steps = 0.75
        stages.append(_denoiser_stage(backbone, adapted, settings, share=0.25))
        return Arm(stages, lambda low: enhance_frames(backbone, low, mode="diffusion"))
    if name in ("paper", "paper, decoded"):
        serial = replace(settings, kind="serial", identity_start=False)
        adapted = attach_adaptor(backbone, serial.to_peft_config(), ADAPTOR)
        stages = [_autoencoder_stage(backbone, adapted, serial, PAPER_LOSSES)]
        if name == "paper, decoded":
            return Arm(stages, lambda low: reconstruct_frames(backbone, low))
        stages[0].share_of_steps = 0.5
        stages.append(_denoiser_stage(backbone, adapted, serial, share=0.5))
        return Arm(stages, lambda low: _sample(backbone, low))
    origin = name.removesuffix(WITH_BRANCHES)
    if origin not in ("full fine-tuning", "scratch"):
        raise UnknownArmError(f"there is no arm '{name}'")
    if origin == "scratch":
        untrained = type(backbone.autoencoder).from_config(backbone.autoencoder.config)
        backbone = ReconstructionBackbone(untrained, None, None, backbone.settings)
    step = (FullFineTuningStep if origin == "full fine-tuning" else ScratchStep)(backbone, weights)
    if name.endswith(WITH_BRANCHES):
        attach_adaptor(backbone, replace(settings, hook_groups=AUTOENCODER_GROUPS).to_peft_config(), ADAPTOR)
    parameters = list(backbone.autoencoder.requires_grad_(True).parameters())
    return Arm([Stage(step, parameters)], step.enhance)


def _matched_rank(backbone: ReconstructionBackbone, settings: AdaptorSettings) -> int:
    """The rank at which LoRA in the autoencoder has about as many parameters as these settings."""

    def count(tried: AdaptorSettings) -> int:
        adapted = attach_adaptor(copy.deepcopy(backbone), tried.to_peft_config(), ADAPTOR)
        return sum(parameter.numel() for parameter in train_only(adapted, ADAPTOR, AUTOENCODER_GROUPS))

    return max(1, round(count(settings) / count(replace(settings, kind="lora", rank=1))))


def _autoencoder_stage(
    backbone: ReconstructionBackbone, adapted: PeftModel, settings: AdaptorSettings, weights: AdaptationLossWeights
) -> Stage:
    # Without a loss on pictures, nothing reaches an adaptor in the decoder.
    learns_from_pictures = weights.pixel > 0 or weights.structural > 0
    groups = [group for group in AUTOENCODER_GROUPS if learns_from_pictures or group == "encoder"]
    parameters = train_only(adapted, ADAPTOR, [group for group in groups if group in settings.hook_groups])
    return Stage(AutoencoderAdaptationStep(backbone, weights), parameters)


def _denoiser_stage(
    backbone: ReconstructionBackbone, adapted: PeftModel, settings: AdaptorSettings, *, share: float
) -> Stage:
    groups = {point.group for point in backbone.hook_points()} - set(AUTOENCODER_GROUPS)
    chosen = [group for group in groups if any(group.startswith(hook) for hook in settings.hook_groups)]
    return Stage(DenoiserAdaptationStep(backbone), train_only(adapted, ADAPTOR, chosen), share)


@torch.no_grad()
def _sample(backbone: ReconstructionBackbone, low: Tensor) -> Tensor:
    condition = backbone.encode(low)
    return backbone.decode(sample_latents(backbone, condition, steps=10, seeds=[0] * len(low)))
