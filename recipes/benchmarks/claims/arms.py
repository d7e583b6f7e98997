"""The arms of the comparison: what each trains, by which losses, and how it enhances. All on one backbone shape."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from peft import PeftModel
from torch import Tensor, nn

from retina_adapt.adaptation import (
    AdaptationLossWeights,
    AutoencoderAdaptationStep,
    DenoiserAdaptationStep,
    picture_losses,
    weighted_sum,
)
from retina_adapt.adaptors import AdaptorSettings, attach_adaptor, train_only
from retina_adapt.backbones import ReconstructionBackbone, sample_latents
from retina_adapt.enhancement import apply_change, enhance_frames, reconstruct_frames
from retina_adapt.errors import RetinaAdaptError

ADAPTOR = "adaptor"
AUTOENCODER_GROUPS = ["encoder", "decoder"]
FULL_FINE_TUNING, SCRATCH = "full fine-tuning", "scratch"
WITH_BRANCHES, WITH_INPUT_SKIP = " with branches", " with input skip"
OURS, PAPER = ("ours", "ours and denoiser", "lora"), ("paper", "paper, decoded")
PAPER_LOSSES = AdaptationLossWeights(
    latent_adaptation=1.0, latent_preservation=1.0, pixel=0.0, structural=0.0, logarithmic=0.0, detail=0.0
)
# Of pure noise to an image; the paper takes 50.
PAPER_SAMPLING_STEPS = 10


class UnknownArmError(RetinaAdaptError):
    """An arm that this benchmark does not have."""


@dataclass
class Stage:
    """A training: its module's `forward(batch)` returns the losses, "loss" being the one to minimise."""

    step: nn.Module
    parameters: list[nn.Parameter]
    share_of_steps: float = 1.0
    begins_on_small_frames: bool = True


@dataclass
class Arm:
    """What is trained, and what is made of a degraded frame (batch, channels, height, width) in [0, 1] afterwards."""

    stages: list[Stage]
    enhance: Callable[[Tensor], Tensor]

    @property
    def trainable_parameters(self) -> int:
        return sum(parameter.numel() for stage in self.stages for parameter in stage.parameters)

    def train_stage(self, stage: Stage) -> None:
        """Let this stage's parameters have gradients, and no others."""
        for other in self.stages:
            for parameter in other.parameters:
                parameter.requires_grad_(other is stage)


class FullFineTuningStep(AutoencoderAdaptationStep):
    """The adaptor's own losses, for an autoencoder all of whose weights are trained; the frozen one stands beside."""

    def __init__(self, backbone: ReconstructionBackbone, weights: AdaptationLossWeights) -> None:
        super().__init__(backbone, weights)
        # In a list it is no submodule, so that it is neither trained nor counted.
        self._frozen = [copy.deepcopy(backbone).requires_grad_(False)]

    @contextmanager
    def frozen_backbone(self) -> Iterator[ReconstructionBackbone]:
        with torch.no_grad():
            yield self._frozen[0]

    @torch.no_grad()
    def enhance(self, low: Tensor) -> Tensor:
        return apply_change(low, reconstruct_frames(self.backbone, low), reconstruct_frames(self._frozen[0], low))


class ScratchStep(nn.Module):
    """An image-to-image network: degraded photograph in, clear one out, by the losses on pictures.

    Args:
        input_skip: the network's output less mid-grey is added to its input; it starts near zero, its last layer's
            weight being zero.
    """

    def __init__(self, backbone: ReconstructionBackbone, weights: AdaptationLossWeights, *, input_skip: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.weights = weights
        self.input_skip = input_skip
        if input_skip:
            nn.init.zeros_(backbone.autoencoder.last_layer())

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return weighted_sum(picture_losses(self._result(batch["low"]), batch, self.weights), self.weights)

    @torch.no_grad()
    def enhance(self, low: Tensor) -> Tensor:
        return self._result(low)

    def _result(self, low: Tensor) -> Tensor:
        result = reconstruct_frames(self.backbone, low)
        # A network whose last layer is zero gives mid-grey.
        return low + result - 0.5 if self.input_skip else result


def arm_settings(
    name: str, adaptor: AdaptorSettings, losses: AdaptationLossWeights
) -> tuple[AdaptorSettings | None, AdaptationLossWeights]:
    """What the arm `name` makes of the comparison's adaptor and losses: its own adaptor, if it has one, and losses.

    Raises:
        UnknownArmError: for an unknown name.
    """
    if name in OURS:
        return adaptor, losses
    if name in PAPER:
        # The paper leaves the decoder alone; an untrained adaptor with the authors' start would break it.
        groups = [group for group in adaptor.hook_groups if group != "decoder"]
        return replace(adaptor, kind="serial", identity_start=False, hook_groups=groups), PAPER_LOSSES
    origin = _origin(name)
    if origin == SCRATCH:
        losses = replace(losses, latent_adaptation=0.0, latent_preservation=0.0)
    branches = replace(adaptor, hook_groups=AUTOENCODER_GROUPS) if name.endswith(WITH_BRANCHES) else None
    return branches, losses


def build_arm(
    name: str, backbone: ReconstructionBackbone, adaptor: AdaptorSettings | None, losses: AdaptationLossWeights
) -> Arm:
    """The arm `name` on this backbone, which is changed in place; adaptor and losses are those of `arm_settings`.

    ours: adaptors in the autoencoder. lora: the same with LoRA of as many parameters. ours and denoiser: adaptors in
    the denoiser besides, trained and sampled as the recipe does. paper: serial adaptors with the authors' start in
    encoder and denoiser, the paper's two latent losses, then the diffusion loss, and sampling from noise. paper,
    decoded: the same without its denoiser. full fine-tuning: every weight of the autoencoder, from the reconstruction
    backbone. scratch: the same, from random weights, with no frozen backbone beside. A name ending in `with branches`
    has our adaptor's branches in the trained network too, so that the comparison holds the architecture equal;
    `scratch with input skip` adds what the network returns to its input, as restoration networks commonly do, and
    `scratch with input skip with branches` is all that ours is, but for what the backbone has learned.

    Raises:
        UnknownArmError: for another name.
    """
    if name == "lora":
        adaptor = replace(adaptor, kind="lora", rank=_matched_rank(backbone, adaptor))
    if name in OURS:
        adapted = attach_adaptor(backbone, adaptor.to_peft_config(), ADAPTOR)
        stages = [_autoencoder_stage(backbone, adapted, adaptor, losses)]
        if name != "ours and denoiser":
            return Arm(stages, lambda low: enhance_frames(backbone, low))
        stages[0].share_of_steps = 0.75
        stages.append(_denoiser_stage(backbone, adapted, adaptor, share=0.25))
        return Arm(stages, lambda low: enhance_frames(backbone, low, mode="diffusion"))
    if name in PAPER:
        adapted = attach_adaptor(backbone, adaptor.to_peft_config(), ADAPTOR)
        stages = [_autoencoder_stage(backbone, adapted, adaptor, losses)]
        if name == "paper, decoded":
            return Arm(stages, lambda low: reconstruct_frames(backbone, low))
        stages[0].share_of_steps = 0.5
        stages.append(_denoiser_stage(backbone, adapted, adaptor, share=0.5))
        return Arm(stages, lambda low: _sample(backbone, low))
    if _origin(name) == SCRATCH:
        untrained = type(backbone.autoencoder).from_config(backbone.autoencoder.config)
        backbone = ReconstructionBackbone(untrained, None, None, backbone.settings)
        step = ScratchStep(backbone, losses, input_skip=WITH_INPUT_SKIP in name)
    else:
        step = FullFineTuningStep(backbone, losses)
    if adaptor is not None:
        attach_adaptor(backbone, adaptor.to_peft_config(), ADAPTOR)
    parameters = list(backbone.autoencoder.requires_grad_(True).parameters())
    return Arm([Stage(step, parameters)], step.enhance)


def _origin(name: str) -> str:
    origin = name.removesuffix(WITH_BRANCHES)
    if origin == SCRATCH + WITH_INPUT_SKIP:
        origin = SCRATCH
    if origin not in (FULL_FINE_TUNING, SCRATCH):
        raise UnknownArmError(f"there is no arm '{name}'; build_arm in recipes/benchmarks/claims/arms.py lists them")
    return origin


def _matched_rank(backbone: ReconstructionBackbone, adaptor: AdaptorSettings) -> int:
    """The rank at which LoRA in the autoencoder has about as many parameters as this adaptor."""

    def count(tried: AdaptorSettings) -> int:
        adapted = attach_adaptor(copy.deepcopy(backbone), tried.to_peft_config(), ADAPTOR)
        return sum(parameter.numel() for parameter in train_only(adapted, ADAPTOR, AUTOENCODER_GROUPS))

    return max(1, round(count(adaptor) / count(replace(adaptor, kind="lora", rank=1))))


def _autoencoder_stage(
    backbone: ReconstructionBackbone, adapted: PeftModel, adaptor: AdaptorSettings, losses: AdaptationLossWeights
) -> Stage:
    # Without a loss on pictures, nothing reaches an adaptor in the decoder.
    groups = AUTOENCODER_GROUPS if losses.on_pictures else ["encoder"]
    parameters = train_only(adapted, ADAPTOR, [group for group in groups if group in adaptor.hook_groups])
    return Stage(AutoencoderAdaptationStep(backbone, losses), parameters)


def _denoiser_stage(
    backbone: ReconstructionBackbone, adapted: PeftModel, adaptor: AdaptorSettings, *, share: float
) -> Stage:
    groups = {point.group for point in backbone.hook_points()} - set(AUTOENCODER_GROUPS)
    chosen = [group for group in groups if any(group.startswith(hook) for hook in adaptor.hook_groups)]
    return Stage(
        DenoiserAdaptationStep(backbone), train_only(adapted, ADAPTOR, chosen), share, begins_on_small_frames=False
    )


@torch.no_grad()
def _sample(backbone: ReconstructionBackbone, low: Tensor) -> Tensor:
    condition = backbone.encode(low)
    return backbone.decode(sample_latents(backbone, condition, steps=PAPER_SAMPLING_STEPS, seeds=[0] * len(low)))
