"""Adaptation: fit a frozen backbone to one data set and one degradation with a small adaptor.

    accelerate launch recipes/adapt.py --config recipes/configs/adapt_light.yaml

Stage one trains the autoencoder's adaptors until degraded photographs, enhanced, look like the clear ones; with weights
on the paper's latent losses, also until their latents are the clear ones'. Stage two trains the denoiser's adaptors
with the diffusion loss, conditioned on the adapted encoder. Writes an adaptor folder to `<output_folder>/adaptor`.
Interrupted, the same command resumes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.data import DataLoader

from retina_adapt import __version__
from retina_adapt.adaptors import (
    AdaptorMetadata,
    AdaptorSettings,
    FrozenBackboneGuard,
    adaptors_bypassed,
    attach_adaptor,
    group_is_frozen,
    save_adaptor,
    train_only,
)
from retina_adapt.backbones import ReconstructionBackbone, load_backbone, seeded_noise
from retina_adapt.configuration import ConfigurationError
from retina_adapt.data import (
    DegradedPairs,
    EvaluationBatchSampler,
    Flips,
    PairSource,
    PairsWithLatents,
    RealPairs,
    StreamedImages,
    open_pairs,
    open_training_pairs,
    training_batches,
)
from retina_adapt.embedded import DEFAULT_BACKBONE, backbone_folder
from retina_adapt.enhancement import FINE_SCALE, EnhancementMode, apply_change, combine_looks, enhance_frames
from retina_adapt.evaluation import SCORING_PROTOCOL, score_image
from retina_adapt.objectives import (
    FRAME_DETAIL_SIGMA,
    diffusion_loss,
    diffusion_target,
    latent_adaptation_loss,
    latent_preservation_loss,
    masked_absolute_error,
    masked_detail_error,
    masked_logarithmic_error,
    structural_dissimilarity,
)
from retina_adapt.training import (
    ScoredStep,
    TrackingSettings,
    TrainingSettings,
    Validation,
    mean_scores,
    run_recipe,
    start_run,
    train,
)

ADAPTOR_NAME = "adaptor"
# Of a validation, on its sheet in TensorBoard.
PICTURES = 4
# Pixels a side: the structural loss and score look through windows of 11.
SMALLEST_FRAME = 16
Pairs = DegradedPairs | RealPairs | PairsWithLatents
TrainingPairs = Pairs | StreamedImages


class Phase(NamedTuple):
    """A part of a stage: its pairs, the step until which they are trained on, how many make a batch, and their cost.

    `frames` is what a pair costs, in frames of the backbone's size.
    """

    pairs: TrainingPairs
    last_step: int
    batch_size: int
    frames: float = 1.0


@dataclass
class AdaptationLossWeights:
    """Weights of stage one's losses; a term of weight 0 is not computed. The paper's loss is 1, 1, 0, 0, 0, 0.

    Args:
        latent_adaptation: of mean |E0(high) - Ea(low)|.
        latent_preservation: of mean |E0(high) - Ea(high)|, which keeps clear photographs as they are.
        pixel: of the absolute error in the field of view, between the enhanced low and the high photograph. Decoder
            adaptors learn from this term and the next three alone.
        structural: of 1 - SSIM between the enhanced low and the high photograph.
        logarithmic: of the logarithm of the squared error in the field of view: a decibel counts the same in a
            photograph that is hardly degraded and in one that is badly.
        detail: of the absolute error in what is finer than a Gaussian of 2 px of the frame, fine vessels above all.
    """

    latent_adaptation: float = 0.0
    latent_preservation: float = 0.0
    pixel: float = 10.0
    structural: float = 1.0
    logarithmic: float = 1.0
    detail: float = 300.0

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if not weight >= 0:
                raise ConfigurationError(f"loss_weights.{name} is {weight}; it must not be negative, and 0 is off")

    @property
    def on_latents(self) -> bool:
        """Whether the loss looks at latents."""
        return self.latent_adaptation > 0 or self.latent_preservation > 0

    @property
    def on_pictures(self) -> bool:
        """Whether the loss looks at enhanced photographs, which alone teach a decoder's adaptors."""
        return max(self.pixel, self.structural, self.logarithmic, self.detail) > 0


@dataclass
class SmallFrames:
    """A beginning of stage one on smaller frames, which cost less: a quarter a step at half the size.

    Light, haze and colour are learned as well there; what is fine is learned in the steps that remain.

    Args:
        steps: the first steps of stage one that see small frames; 0 is none.
        size: side of a small frame in pixels, a multiple of the backbone's stride.
    """

    steps: int = 0
    size: int = 128

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ConfigurationError(f"small_frames.steps is {self.steps}; it must not be negative")


@dataclass
class SecondLook:
    """An end of stage one at twice the backbone's frame size, where vessels are that a frame does not show.

    `Enhancer` looks at a photograph twice: at the frame, for light and colour, and at a larger copy, for what is fine
    (`detail="fine"`). These steps do the same and judge both the frame and the larger copy. Each pair costs five times
    as much as in the steps before.

    Args:
        steps: the last steps of stage one; 0 is none.
        batch_size: pairs a step on each process.
    """

    steps: int = 0
    batch_size: int = 2

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1:
            raise ConfigurationError("second_look: steps must not be negative, and batch_size must be at least 1")


@dataclass
class AdaptorCardSettings:
    """What the adaptor's card says and training cannot know.

    Args:
        name: what the adaptor is called, of letters, digits, '_' and '-'.
        data_sets: names and credits of the photographs.
        license: SPDX identifier of the adaptor's licence.
        intended_use: what the adaptor is good for, and what not.
    """

    name: str = ADAPTOR_NAME
    data_sets: list[str] = field(default_factory=lambda: ["the user's own photographs"])
    license: str = "Apache-2.0"
    intended_use: str = (
        "Research on retinal image enhancement. Not a medical device: an enhanced photograph shows what the network "
        "holds likely, so findings must be confirmed on the original."
    )


@dataclass
class AdaptConfig:
    """Everything that recipes/adapt.py reads.

    Args:
        output_folder: where the adaptor, checkpoints and logs go.
        train: pairs to train on.
        validation: pairs to validate on.
        backbone: name of an embedded backbone, or a backbone folder.
        flips: mirror training pairs at random.
        latent_cache: of real pairs, encode each photograph once, each way it may be mirrored, and keep the frozen
            encoder's latents on disk beside the prepared photographs. It pays where there are more steps times
            `batch_size` than four times the pairs. Not for pairs that are degraded anew for every draw.
        adaptor: the adaptor's kind, place and size.
        loss_weights: of stage one's losses.
        autoencoder: stage one's training loop.
        small_frames: how stage one begins.
        second_look: how stage one ends.
        denoiser: stage two's training loop; 0 steps, or no hook group in the denoiser, leave stage two out.
        sampling_steps: denoiser calls when validating stage two.
        card: what the adaptor's card says besides.
        tracking: where the entries of the run go.
    """

    output_folder: str
    train: PairSource
    validation: PairSource
    backbone: str = DEFAULT_BACKBONE
    flips: bool = True
    latent_cache: bool = False
    adaptor: AdaptorSettings = field(default_factory=AdaptorSettings)
    loss_weights: AdaptationLossWeights = field(default_factory=AdaptationLossWeights)
    autoencoder: TrainingSettings = field(default_factory=TrainingSettings)
    small_frames: SmallFrames = field(default_factory=SmallFrames)
    second_look: SecondLook = field(default_factory=SecondLook)
    denoiser: TrainingSettings = field(default_factory=TrainingSettings)
    sampling_steps: int = 4
    card: AdaptorCardSettings = field(default_factory=AdaptorCardSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)


def picture_losses(
    enhanced: Tensor, batch: dict[str, Tensor], weights: AdaptationLossWeights, *, scale: int = 1
) -> dict[str, Tensor]:
    """Stage one's losses on enhanced photographs, those that have a weight; `scale` times as large as a frame."""
    detail_sigma = scale * FRAME_DETAIL_SIGMA
    terms: dict[str, Callable[[], Tensor]] = {
        "pixel": lambda: masked_absolute_error(enhanced, batch["high"], batch["mask"]),
        "structural": lambda: structural_dissimilarity(enhanced, batch["high"]),
        "logarithmic": lambda: masked_logarithmic_error(enhanced, batch["high"], batch["mask"]),
        "detail": lambda: masked_detail_error(enhanced, batch["high"], batch["mask"], sigma=detail_sigma),
    }
    return {name: term() for name, term in terms.items() if getattr(weights, name) > 0}


def weighted_sum(losses: dict[str, Tensor], weights: AdaptationLossWeights) -> dict[str, Tensor]:
    """The losses, and their weighted sum as "loss"."""
    return {"loss": sum(getattr(weights, name) * value for name, value in losses.items()), **losses}


class AdaptationStep(nn.Module):
    """What both stages ask of the backbone as it was before adaptation."""

    def __init__(self, backbone: ReconstructionBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    @contextmanager
    def frozen_backbone(self) -> Iterator[ReconstructionBackbone]:
        """The backbone as it was before adaptation, without gradients."""
        with torch.no_grad(), adaptors_bypassed(self.backbone):
            yield self.backbone

    def frozen_latents(self, batch: dict[str, Tensor], name: str) -> Tensor:
        """The frozen encoder's latents of the photographs `name`: the cached ones, where the batch has them."""
        if f"{name}_latent" in batch:
            return batch[f"{name}_latent"]
        with self.frozen_backbone() as backbone:
            return backbone.encode(batch[name])


class AutoencoderAdaptationStep(AdaptationStep):
    """Stage one: how far the enhanced photograph is from the clear one, and the paper's latent terms if they weigh."""

    def __init__(self, backbone: ReconstructionBackbone, weights: AdaptationLossWeights) -> None:
        super().__init__(backbone)
        self.weights = weights

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if batch["low"].shape[-1] > self.backbone.settings.image_size:
            return self.two_looks(batch)
        low, high = batch["low"], batch["high"]
        losses: dict[str, Tensor] = {}
        encoder_is_frozen = group_is_frozen(self.backbone, "encoder")
        if encoder_is_frozen:
            # Latents that nothing changes need no graph, and losses on them would teach nothing.
            adapted_low = self.frozen_latents(batch, "low")
        elif self.weights.on_latents:
            high_latent = self.frozen_latents(batch, "high")
            adapted_low, adapted_high = self.backbone.encode(torch.cat([low, high])).chunk(2)
            losses["latent_adaptation"] = latent_adaptation_loss(high_latent, adapted_low)
            losses["latent_preservation"] = latent_preservation_loss(high_latent, adapted_high)
        else:
            adapted_low = self.backbone.encode(low)
        if self.weights.on_pictures:
            frozen_low = adapted_low if encoder_is_frozen else self.frozen_latents(batch, "low")
            with self.frozen_backbone() as backbone:
                frozen = backbone.decode(frozen_low)
            enhanced = apply_change(low, self.backbone.decode(adapted_low), frozen)
            losses |= picture_losses(enhanced, batch, self.weights)
        return weighted_sum(losses, self.weights)

    def two_looks(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses on pictures of the frame and of the larger copy, added."""
        frame = {name: F.avg_pool2d(batch[name], FINE_SCALE) for name in ("low", "high")}
        frame["mask"] = F.avg_pool2d(batch["mask"].to(batch["low"].dtype), FINE_SCALE) == 1
        frame_change = self.change(frame["low"])
        change = combine_looks(frame_change, self.change(batch["low"]))
        of_frame = picture_losses(frame["low"] + frame_change, frame, self.weights)
        of_larger = picture_losses(batch["low"] + change, batch, self.weights, scale=FINE_SCALE)
        return weighted_sum({name: of_frame[name] + of_larger[name] for name in of_frame}, self.weights)

    def change(self, low: Tensor) -> Tensor:
        """What the adaptors change in photographs."""
        with self.frozen_backbone() as backbone:
            latent = backbone.encode(low)
            frozen = backbone.decode(latent)
        if not group_is_frozen(self.backbone, "encoder"):
            latent = self.backbone.encode(low)
        return self.backbone.decode(latent) - frozen


class DenoiserAdaptationStep(AdaptationStep):
    """Stage two: the diffusion loss of the clear latent, conditioned on the adapted latent of the low one.

    The clear latent is the frozen encoder's, as in the paper, unless the decoder is adapted too: then adapted encoder
    and decoder have agreed on latents of their own, and sampling has to end where that decoder is at home.
    """

    def adapted_latents(self, batch: dict[str, Tensor], name: str) -> Tensor:
        """The adapted encoder's latents of the photographs `name`, without gradients."""
        if group_is_frozen(self.backbone, "encoder"):
            return self.frozen_latents(batch, name)
        with torch.no_grad():
            return self.backbone.encode(batch[name])

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        scheduler = self.backbone.scheduler
        condition = self.adapted_latents(batch, "low")
        decoder_is_frozen = group_is_frozen(self.backbone, "decoder")
        high_latent = self.frozen_latents(batch, "high") if decoder_is_frozen else self.adapted_latents(batch, "high")
        noise = seeded_noise(batch["seed"].tolist(), tuple(high_latent.shape[1:]), like=high_latent)
        timesteps = (batch["seed"] % scheduler.config.num_train_timesteps).to(high_latent.device)
        noisy_latent = scheduler.add_noise(high_latent, noise, timesteps)
        prediction = self.backbone.predict(noisy_latent, timesteps, condition)
        target = diffusion_target(
            high_latent, noise, scheduler.alphas_cumprod, timesteps, scheduler.config.prediction_type
        )
        return {"loss": diffusion_loss(prediction, target)}


def setup(config: AdaptConfig) -> tuple[Accelerator, ReconstructionBackbone, PeftModel, FrozenBackboneGuard]:
    if config.denoiser.steps and config.denoiser.mixed_precision != config.autoencoder.mixed_precision:
        raise ConfigurationError("autoencoder.mixed_precision and denoiser.mixed_precision differ: give both the same")
    if not (config.loss_weights.on_latents or config.loss_weights.on_pictures):
        raise ConfigurationError("every weight in loss_weights is 0: give at least one loss a weight")
    if config.small_frames.steps + config.second_look.steps > config.autoencoder.steps:
        raise ConfigurationError(
            f"small_frames.steps is {config.small_frames.steps} and second_look.steps {config.second_look.steps}; "
            f"together they must be at most autoencoder.steps, {config.autoencoder.steps}"
        )
    if config.denoiser.steps and config.sampling_steps < 1:
        raise ConfigurationError(f"sampling_steps is {config.sampling_steps}; it must be at least 1")
    if config.second_look.steps and not config.loss_weights.on_pictures:
        raise ConfigurationError(
            "second_look is judged by losses on pictures: give one a weight, or set second_look.steps to 0"
        )
    if config.latent_cache and config.train.clear:
        raise ConfigurationError(
            "latent_cache is for real pairs: those of `train.clear` are degraded anew for every draw, and so must be "
            "encoded at every step; set it to false"
        )
    accelerator = Accelerator(
        mixed_precision=config.autoencoder.mixed_precision,
        gradient_accumulation_steps=config.autoencoder.gradient_accumulation,
        log_with=config.tracking.trackers,
        project_dir=config.output_folder,
    )
    start_run(accelerator, config, config.output_folder, config.tracking)
    backbone = load_backbone(backbone_folder(config.backbone)).to(accelerator.device)
    guard = FrozenBackboneGuard(backbone)
    set_seed(config.autoencoder.seed)
    adapted = attach_adaptor(backbone, config.adaptor.to_peft_config(), ADAPTOR_NAME)
    return accelerator, backbone, adapted, guard


def prepare_data(
    config: AdaptConfig, accelerator: Accelerator, backbone: ReconstructionBackbone, fingerprint: str
) -> tuple[dict[str, list[Phase]], Pairs]:
    """The phases of each stage's training, and pairs to validate on."""

    def encode(images: Tensor) -> Tensor:
        with torch.no_grad(), adaptors_bypassed(backbone):
            return backbone.encode(images.to(accelerator.device))

    def open_training(size: int) -> TrainingPairs:
        pairs = open_training_pairs(config.train, size, flips=Flips() if config.flips else None)
        if config.latent_cache and size <= backbone.settings.image_size and not config.autoencoder.dry_run:
            return PairsWithLatents(pairs, encode, key=fingerprint, workers=config.autoencoder.workers)
        return pairs

    size = backbone.settings.image_size
    first, last = config.small_frames.steps, config.second_look.steps
    side = config.small_frames.size
    if first and (side % backbone.stride or not SMALLEST_FRAME <= side <= size):
        raise ConfigurationError(
            f"small_frames.size is {side}; for this backbone it must be a multiple of {backbone.stride} from "
            f"{SMALLEST_FRAME} to {size}"
        )
    stage_one, stage_two = config.autoencoder, config.denoiser
    with accelerator.main_process_first():
        whole = open_training(size)
        phases = [Phase(whole, stage_one.steps - last, stage_one.batch_size)]
        if first:
            phases.insert(0, Phase(open_training(side), first, stage_one.batch_size, (side / size) ** 2))
        if last:
            pairs, batch_size = open_training(FINE_SCALE * size), config.second_look.batch_size
            phases.append(Phase(pairs, stage_one.steps, batch_size, 1 + FINE_SCALE**2))
        validation = open_pairs(config.validation, size)
    return {"autoencoder": phases, "denoiser": [Phase(whole, stage_two.steps, stage_two.batch_size)]}, validation


def batches_from(
    phases: list[Phase], settings: TrainingSettings, accelerator: Accelerator, first: int
) -> Iterator[dict[str, Tensor]]:
    """Batches from the micro-batch `first` on; each phase's pairs until its last step.

    A dry run tries the phase whose steps take the most memory and time.
    """
    if settings.dry_run:
        begins = [0, *(phase.last_step for phase in phases)]
        with_steps = [phase for phase, begin in zip(phases, begins, strict=False) if phase.last_step > begin]
        phases = [max(with_steps, key=lambda phase: phase.batch_size * phase.frames)]
    for phase in phases:
        last = phase.last_step * settings.gradient_accumulation
        if first < last:
            yield from training_batches(
                phase.pairs,
                phase.batch_size,
                steps=last,
                seed=settings.seed,
                rank=accelerator.process_index,
                world_size=accelerator.num_processes,
                first_step=first,
                workers=settings.workers,
            )
            first = last


def validate(
    backbone: ReconstructionBackbone, pairs: Pairs, accelerator: Accelerator, mode: EnhancementMode, steps: int
) -> Validation:
    """PSNR and SSIM in the field of view, low and enhanced against high, and a sheet low | enhanced | high."""
    sampler = EvaluationBatchSampler(
        len(pairs), 4, seed=0, rank=accelerator.process_index, world_size=accelerator.num_processes
    )
    scores, pictures = [], []
    for batch in DataLoader(pairs, batch_sampler=sampler):
        enhanced = enhance_frames(
            backbone, batch["low"].to(accelerator.device), mode=mode, steps=steps, seeds=batch["seed"].tolist()
        )
        for row in zip(batch["low"], enhanced.cpu(), batch["high"], batch["mask"], strict=True):
            low, result, high = (tensor.permute(1, 2, 0).float().numpy() for tensor in row[:3])
            mask = row[3][0].numpy()
            after, before = score_image(result, high, mask), score_image(low, high, mask)
            scores.append(
                {"psnr": after.psnr, "ssim": after.ssim, "psnr_degraded": before.psnr, "ssim_degraded": before.ssim}
            )
            if len(pictures) < PICTURES:
                pictures.append(np.concatenate([low, result, high], axis=1))
    # With more processes than photographs, some have none.
    sheets = {"low_enhanced_high": (np.concatenate(pictures) * 255).round().astype(np.uint8)} if pictures else {}
    return Validation(mean_scores(accelerator, scores), sheets)


def main(
    config: AdaptConfig,
    observe_validations: Callable[[str, Sequence[ScoredStep]], None] = lambda stage, validations: None,
) -> None:
    """Train both stages and write the adaptor folder.

    Args:
        config: see `AdaptConfig`.
        observe_validations: called with "autoencoder" or "denoiser", and all validations of that stage so far.
    """
    accelerator, backbone, adapted, guard = setup(config)
    phases_of, validation_pairs = prepare_data(config, accelerator, backbone, guard.fingerprint)
    pairs = phases_of["denoiser"][0].pairs
    metadata = AdaptorMetadata(
        data_sets=config.card.data_sets,
        degradation=config.train.degradation or "the degradation of real pairs",
        severity=config.train.severity,
        # Nobody counts a stream.
        pairs_seen=None if isinstance(pairs, StreamedImages) else len(pairs),
        training_steps={},
        seed=config.autoencoder.seed,
        recipe=f"recipes/adapt.py of retina_adapt {__version__}",
        metrics={},
        protocol=f"Means over {len(validation_pairs)} validation pairs. "
        + "; ".join(f"{measure}: {how}" for measure, how in SCORING_PROTOCOL.items()),
        license=config.card.license,
        intended_use=config.card.intended_use,
        backbone_name=Path(config.backbone).name,
        name=config.card.name,
    )
    # What cannot be stored is refused now, not after the training.
    AdaptorMetadata.from_dict(metadata.to_dict(), origin=f"{config.output_folder}, card")
    groups = {point.group for point in backbone.hook_points()}
    chosen = {
        group
        for group in groups
        for hook in config.adaptor.hook_groups
        if group == hook or group.startswith(f"{hook}.")
    }
    stages: dict[str, tuple[TrainingSettings, nn.Module, EnhancementMode, set[str]]] = {
        "autoencoder": (
            config.autoencoder,
            AutoencoderAdaptationStep(backbone, config.loss_weights),
            "fast",
            # Without a loss on pictures, nothing reaches an adaptor in the decoder.
            chosen & ({"encoder", "decoder"} if config.loss_weights.on_pictures else {"encoder"}),
        ),
        "denoiser": (
            config.denoiser,
            DenoiserAdaptationStep(backbone),
            "diffusion",
            chosen - {"encoder", "decoder"},
        ),
    }
    if not any(settings.steps and stage_groups for settings, _, _, stage_groups in stages.values()):
        raise ConfigurationError(
            "nothing would be trained: no stage has both steps and an adaptor that its losses reach; see "
            "adaptor.hook_groups, autoencoder.steps, denoiser.steps and loss_weights"
        )
    metrics: dict[str, float] = {}
    steps_done: dict[str, int] = {}
    for stage, (settings, step, mode, stage_groups) in stages.items():
        if not stage_groups or settings.steps == 0:
            continue
        trained = sum(parameter.numel() for parameter in train_only(adapted, ADAPTOR_NAME, stage_groups))
        accelerator.print(f"stage {stage}: {trained:,} trainable parameters in {', '.join(sorted(stage_groups))}")
        backbone.enable_gradient_checkpointing(settings.gradient_checkpointing)
        validation = train(
            step,
            name=stage,
            accelerator=accelerator,
            settings=settings,
            batches_from=lambda first, phases=phases_of[stage], settings=settings: batches_from(
                phases, settings, accelerator, first
            ),
            validate=lambda mode=mode: validate(backbone, validation_pairs, accelerator, mode, config.sampling_steps),
            output_folder=config.output_folder,
            inspect_optimizer=guard.check_optimizer,
            observe_validations=lambda validations, stage=stage: observe_validations(stage, validations),
            phase_starts={phase.last_step for phase in phases_of[stage]},
        )
        metrics |= {f"{mode} {key}": value for key, value in validation.scores.items()}
        steps_done[stage] = validation.step
    guard.check()
    if accelerator.is_main_process:
        folder = Path(config.output_folder) / ADAPTOR_NAME
        measured = replace(metadata, training_steps=steps_done, metrics=metrics)
        save_adaptor(adapted, ADAPTOR_NAME, folder, measured)
        accelerator.print(f"{folder}: {metrics}")
    accelerator.end_training()


if __name__ == "__main__":
    run_recipe(main, AdaptConfig, description=__doc__)
