"""Adaptation: fit a frozen backbone to one data set and one degradation with a small adaptor.

    accelerate launch recipes/adapt.py --config recipes/configs/adapt_light.yaml

Stage one trains the autoencoder's adaptors to make degraded photographs, enhanced, look like the clear ones and, with
weights on the paper's latent losses, to make their latents those of the clear ones. Stage two trains the denoiser's
adaptors with the diffusion loss, conditioned on the adapted encoder. Writes an adaptor folder to
`<output_folder>/adaptor`. If interrupted, the same command resumes.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.data import DataLoader

from retina_adapt import __version__
from retina_adapt.adaptation import (
    AdaptationLossWeights,
    AutoencoderAdaptationStep,
    DenoiserAdaptationStep,
    Phase,
    SecondLook,
    SmallFrames,
    TrainingPairs,
    batches_of_phases,
)
from retina_adapt.adaptors import (
    AdaptorDescription,
    AdaptorMetadata,
    AdaptorSettings,
    FrozenBackboneGuard,
    adaptors_bypassed,
    attach_adaptor,
    describe_adaptor,
    save_adaptor,
    start_from_file,
    train_only,
)
from retina_adapt.backbones import (
    ReconstructionBackbone,
    fingerprint_tensors,
    load_backbone,
    require_sampling_steps,
    select_hook_points,
)
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
    require_apart,
    require_other_photographs,
)
from retina_adapt.embedded import DEFAULT_BACKBONE, adaptor_folder, backbone_folder
from retina_adapt.enhancement import FINE_SCALE, SAMPLING_START, EnhancementMode, enhance_frames
from retina_adapt.evaluation import SCORING_PROTOCOL, psnr_and_ssim
from retina_adapt.training import (
    ScoredStep,
    TrackingSettings,
    TrainingSettings,
    Validation,
    mean_scores,
    new_accelerator,
    run_recipe,
    start_run,
    train,
)

ADAPTOR_NAME = "adaptor"
# On the card, marks a data set that this training has not seen.
SEEN_BEFORE = " (seen by the adaptor that this one goes on from, "
# On a validation's sheet in TensorBoard.
PICTURES = 4
# Side in pixels: the structural loss and score use windows of 11.
SMALLEST_FRAME = 16
ValidationPairs = DegradedPairs | RealPairs


@dataclass
class AdaptorCardSettings:
    """What the adaptor's card says beyond what training knows.

    Args:
        name: the adaptor's name: letters, digits, '_' and '-'.
        degradation: what is wrong with the low photographs of real pairs, in words; for simulated pairs, the card names
            the preset.
        data_sets: names and credits of the photographs.
        license: SPDX identifier of the adaptor's licence.
        intended_use: what the adaptor is good for, and what not.
    """

    name: str = ADAPTOR_NAME
    degradation: str = "the degradation of real pairs"
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
        latent_cache: for real pairs, encode each photograph once in each way it may be mirrored, and keep the frozen
            encoder's latents on disk beside the prepared photographs. Pays off if steps times `batch_size` exceed four
            times the number of pairs. Not for pairs that are degraded anew for every draw.
        adaptor: the adaptor's kind, place and size.
        start_from: an adaptor to continue from instead of the identity, by its embedded name or its folder. It must
            have the same backbone, kind and size; of its hook groups, those that a stage trains are used.
        loss_weights: weights of stage one's losses.
        autoencoder: stage one's training loop.
        small_frames: how stage one begins.
        second_look: how stage one ends.
        denoiser: stage two's training loop; 0 steps, or no hook group in the denoiser, leave stage two out.
        sampling_steps: number of steps when validating stage two.
        card: further statements for the adaptor's card.
        tracking: where the run is logged.

    Raises:
        ConfigurationError, PairingError: the settings contradict each other.
    """

    output_folder: str
    train: PairSource
    validation: PairSource
    backbone: str = DEFAULT_BACKBONE
    flips: bool = True
    latent_cache: bool = False
    adaptor: AdaptorSettings = field(default_factory=AdaptorSettings)
    start_from: str | None = None
    loss_weights: AdaptationLossWeights = field(default_factory=AdaptationLossWeights)
    autoencoder: TrainingSettings = field(default_factory=TrainingSettings)
    small_frames: SmallFrames = field(default_factory=SmallFrames)
    second_look: SecondLook = field(default_factory=SecondLook)
    denoiser: TrainingSettings = field(default_factory=TrainingSettings)
    sampling_steps: int = 4
    card: AdaptorCardSettings = field(default_factory=AdaptorCardSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)

    def __post_init__(self) -> None:
        if self.denoiser.steps and self.denoiser.mixed_precision != self.autoencoder.mixed_precision:
            raise ConfigurationError(
                "autoencoder.mixed_precision and denoiser.mixed_precision differ: give both the same"
            )
        if not (self.loss_weights.on_latents or self.loss_weights.on_pictures):
            raise ConfigurationError("every weight in loss_weights is 0: give at least one loss a weight")
        if self.small_frames.steps + self.second_look.steps > self.autoencoder.steps:
            raise ConfigurationError(
                f"small_frames.steps is {self.small_frames.steps} and second_look.steps {self.second_look.steps}; "
                f"together they must be at most autoencoder.steps, {self.autoencoder.steps}: lower them"
            )
        if self.second_look.steps and not self.loss_weights.on_pictures:
            raise ConfigurationError(
                "second_look needs losses on pictures: give one of them a weight, or set second_look.steps to 0"
            )
        require_apart(self.train, self.validation)
        if self.latent_cache and self.train.clear:
            raise ConfigurationError(
                "latent_cache is for real pairs: those of `train.clear` are degraded anew for every draw, so they must "
                "be encoded at every step; set it to false"
            )

    def trained_groups(self) -> dict[str, list[str]]:
        """The adaptor's hook groups that each stage trains."""
        groups = self.adaptor.hook_groups
        # Without a loss on pictures, nothing reaches an adaptor in the decoder.
        of_autoencoder = ("encoder", "decoder") if self.loss_weights.on_pictures else ("encoder",)
        return {
            "autoencoder": [group for group in groups if group in of_autoencoder and self.autoencoder.steps],
            "denoiser": [group for group in groups if group.startswith("denoiser") and self.denoiser.steps],
        }


def setup(
    config: AdaptConfig,
) -> tuple[Accelerator, ReconstructionBackbone, PeftModel, FrozenBackboneGuard, AdaptorDescription | None]:
    """Check that the backbone fits, start the run, attach the adaptor; last is what it continues from, if any."""
    backbone = load_backbone(backbone_folder(config.backbone))
    # Raises for groups that the backbone does not have, trained or not.
    select_hook_points(backbone.hook_points(), config.adaptor.hook_groups)
    if not any(config.trained_groups().values()):
        raise ConfigurationError(
            "nothing would be trained: no stage has both steps and an adaptor that its losses reach; see "
            "adaptor.hook_groups, autoencoder.steps, denoiser.steps and loss_weights"
        )
    if config.trained_groups()["denoiser"]:
        require_sampling_steps(backbone, config.sampling_steps, SAMPLING_START)
    side = config.small_frames.size
    if config.small_frames.steps and (
        side % backbone.stride or not SMALLEST_FRAME <= side <= backbone.settings.image_size
    ):
        raise ConfigurationError(
            f"small_frames.size is {side}; for this backbone it must be a multiple of {backbone.stride} from "
            f"{SMALLEST_FRAME} to {backbone.settings.image_size}"
        )
    if config.start_from is not None:
        require_start_fits(config, describe_adaptor(adaptor_folder(config.start_from)))
    # Groups that no stage trains are left out: they would enlarge the adaptor and, unless they start as the identity,
    # change the backbone's output.
    hook_groups = [group for groups in config.trained_groups().values() for group in groups]
    peft_config = replace(config.adaptor, hook_groups=hook_groups).to_peft_config()
    accelerator = new_accelerator(config.autoencoder, config.tracking, config.output_folder)
    start_run(accelerator, config, config.output_folder, config.tracking)
    if unread := config.adaptor.unread():
        named = ", ".join(f"adaptor.{name}" for name in unread)
        accelerator.print(f"warning: without effect on an adaptor of the kind '{config.adaptor.kind}': {named}")
    backbone.to(accelerator.device)
    guard = FrozenBackboneGuard(backbone)
    set_seed(config.autoencoder.seed)
    adapted = attach_adaptor(backbone, peft_config, ADAPTOR_NAME)
    start = None
    if config.start_from is not None:
        start = start_from_file(adapted, ADAPTOR_NAME, adaptor_folder(config.start_from))
    return accelerator, backbone, adapted, guard, start


def require_start_fits(config: AdaptConfig, start: AdaptorDescription) -> None:
    """Refuse to overwrite the adaptor that a run continues from, or to give its successor another licence."""
    if adaptor_folder(config.start_from).resolve() == (Path(config.output_folder) / ADAPTOR_NAME).resolve():
        raise ConfigurationError(
            f"start_from: {config.start_from} is where this run writes its own adaptor; use another output_folder"
        )
    if start.metadata.license != config.card.license:
        raise ConfigurationError(
            f"start_from: {config.start_from} has the licence {start.metadata.license}, and card.license says "
            f"{config.card.license}; what continues from it must keep its terms: give card.license the same"
        )


def origin(config: AdaptConfig, start: AdaptorDescription | None) -> tuple[list[str], str]:
    """What the card says about the data sets that the adaptor has seen, and the recipe that trained it."""
    # An edited script is another recipe: its sha256 says which.
    script = Path(__file__)
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    data_sets, recipe = config.card.data_sets, f"{script.name} ({digest[:12]}…) with retina_adapt {__version__}"
    if start is None:
        return data_sets, recipe
    name = start.metadata.name
    # If the start itself continued from another adaptor, that is said once.
    known = [data_set.partition(SEEN_BEFORE)[0] for data_set in start.metadata.data_sets]
    seen_before = [f"{data_set}{SEEN_BEFORE}{name})" for data_set in known if data_set not in data_sets]
    return [*data_sets, *seen_before], f"{recipe}, from the adaptor {name} ({start.sha256[:12]}…)"


def prepare_data(
    config: AdaptConfig, accelerator: Accelerator, backbone: ReconstructionBackbone, fingerprint: str
) -> tuple[dict[str, list[Phase]], ValidationPairs]:
    """The phases of each stage's training, and the validation pairs."""

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
        if not isinstance(whole, StreamedImages):
            require_other_photographs(whole.prepared, validation.prepared)
    return {"autoencoder": phases, "denoiser": [Phase(whole, stage_two.steps, stage_two.batch_size)]}, validation


def validate(
    backbone: ReconstructionBackbone,
    pairs: ValidationPairs,
    accelerator: Accelerator,
    mode: EnhancementMode,
    steps: int,
) -> Validation:
    """PSNR and SSIM of low and enhanced against high in the field of view, and a sheet low | enhanced | high."""
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
            (psnr, ssim), (psnr_low, ssim_low) = psnr_and_ssim(result, high, mask), psnr_and_ssim(low, high, mask)
            scores.append({"psnr": psnr, "ssim": ssim, "psnr_degraded": psnr_low, "ssim_degraded": ssim_low})
            if len(pictures) < PICTURES:
                pictures.append(np.concatenate([low, result, high], axis=1))
    # With more processes than photographs, some have none.
    sheets = {"low_enhanced_high": (np.concatenate(pictures) * 255).round().astype(np.uint8)} if pictures else {}
    return Validation(mean_scores(accelerator, scores), sheets)


def gain(scores: dict[str, float]) -> str:
    """Scores of the degraded and the enhanced photographs, for the terminal."""
    psnr, ssim = ([scores[f"{name}_degraded"], scores[name]] for name in ("psnr", "ssim"))
    return f"PSNR {psnr[0]:.2f} -> {psnr[1]:.2f} dB, SSIM {ssim[0]:.3f} -> {ssim[1]:.3f}"


def main(
    config: AdaptConfig,
    observe_validations: Callable[[str, Sequence[ScoredStep]], None] = lambda stage, validations: None,
) -> None:
    """Train both stages and write the adaptor folder.

    Args:
        config: see `AdaptConfig`.
        observe_validations: called with "autoencoder" or "denoiser", and all validations of that stage so far.
    """
    accelerator, backbone, adapted, guard, start = setup(config)
    phases_of, validation_pairs = prepare_data(config, accelerator, backbone, guard.fingerprint)
    pairs = phases_of["denoiser"][0].pairs
    data_sets, recipe = origin(config, start)
    metadata = AdaptorMetadata(
        data_sets=data_sets,
        degradation=config.train.degradation or config.card.degradation,
        severity=config.train.severity,
        # A stream has no length.
        pairs_seen=None if isinstance(pairs, StreamedImages) else len(pairs),
        training_steps={},
        seed=config.autoencoder.seed,
        recipe=recipe,
        metrics={},
        protocol=f"Means over {len(validation_pairs)} validation pairs in frames of {backbone.settings.image_size} px. "
        + "; ".join(f"{measure}: {how}" for measure, how in SCORING_PROTOCOL.items()),
        license=config.card.license,
        intended_use=config.card.intended_use,
        backbone_name=Path(config.backbone).name,
        name=config.card.name,
    )
    # Refuse what cannot be stored now, not after the training.
    AdaptorMetadata.from_dict(metadata.to_dict(), origin=f"{config.output_folder}, card")
    stages: dict[str, tuple[TrainingSettings, nn.Module, EnhancementMode]] = {
        "autoencoder": (config.autoencoder, AutoencoderAdaptationStep(backbone, config.loss_weights), "fast"),
        "denoiser": (config.denoiser, DenoiserAdaptationStep(backbone), "diffusion"),
    }
    metrics: dict[str, float] = {}
    if start is not None:
        scores = validate(backbone, validation_pairs, accelerator, "fast", config.sampling_steps).scores
        accelerator.print(f"{config.start_from}, before any step: {gain(scores)}")
        metrics |= {f"start {key}": value for key, value in scores.items()}
    scores_of: dict[str, dict[str, float]] = {}
    steps_done: dict[str, int] = {}
    built_on = [guard.fingerprint] if start is None else [guard.fingerprint, start.sha256]
    for stage, (settings, step, mode) in stages.items():
        hook_groups = config.trained_groups()[stage]
        if not hook_groups:
            continue
        trained = sum(parameter.numel() for parameter in train_only(adapted, ADAPTOR_NAME, hook_groups))
        accelerator.print(f"stage {stage}: {trained:,} trainable parameters in {', '.join(hook_groups)}")
        backbone.enable_gradient_checkpointing(settings.gradient_checkpointing)
        validation = train(
            step,
            name=stage,
            accelerator=accelerator,
            settings=settings,
            batches_from=lambda first, phases=phases_of[stage], settings=settings: batches_of_phases(
                phases, settings, accelerator, first
            ),
            validate=lambda mode=mode: validate(backbone, validation_pairs, accelerator, mode, config.sampling_steps),
            output_folder=config.output_folder,
            inspect_optimizer=guard.check_optimizer,
            observe_validations=lambda validations, stage=stage: observe_validations(stage, validations),
            phase_starts={phase.last_step for phase in phases_of[stage]},
            built_on=" ".join(built_on),
        )
        # The next stage trains on latents that this one has changed.
        built_on.append(fingerprint_tensors({key: t for key, t in adapted.named_parameters() if t.requires_grad}))
        scores_of[mode] = validation.scores
        metrics |= {f"{mode} {key}": value for key, value in validation.scores.items()}
        steps_done[stage] = validation.step
    guard.check()
    if accelerator.is_main_process:
        folder = Path(config.output_folder) / ADAPTOR_NAME
        measured = replace(metadata, training_steps=steps_done, metrics=metrics)
        save_adaptor(adapted, ADAPTOR_NAME, folder, measured)
        for mode, scores in scores_of.items():
            accelerator.print(f"mode {mode}: {gain(scores)} on {len(validation_pairs)} validation pairs")
            if scores["psnr"] < scores["psnr_degraded"]:
                hint = "" if config.train.clear else "; are low and high exchanged?"
                accelerator.print(f"warning: that is worse than the degraded photographs{hint}")
        use = "of two steps, to try out" if config.autoencoder.dry_run else f"retina-adapt enhance --adaptor {folder}"
        accelerator.print(f"{folder}: the adaptor ({use})")
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    run_recipe(main, AdaptConfig, description=__doc__)
