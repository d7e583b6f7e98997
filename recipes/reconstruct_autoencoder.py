"""Reconstruction, part one: train a backbone's autoencoder on unpaired photographs of any quality.

    accelerate launch recipes/reconstruct_autoencoder.py --config recipes/configs/reconstruct_autoencoder_nano.yaml

Writes a backbone folder, still without a denoiser, to `<output_folder>/backbone`; continue with
recipes/reconstruct_denoiser.py. If interrupted, the same command resumes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader

from retina_adapt.backbones import (
    BackboneShape,
    ReconstructionBackbone,
    build_backbone,
    load_backbone,
    save_backbone,
)
from retina_adapt.configuration import ConfigurationError
from retina_adapt.data import (
    Draw,
    EvaluationBatchSampler,
    PhotographSource,
    PreparedPhotographs,
    RandomCrop,
    StreamedImages,
    UnpairedImages,
    WholeFrame,
    open_sources,
    open_training_images,
    training_batches,
)
from retina_adapt.embedded import DEFAULT_BACKBONE, backbone_folder
from retina_adapt.evaluation import psnr_and_ssim
from retina_adapt.objectives import (
    AdversarialSettings,
    AdversarialTerm,
    PerceptualDistance,
    absolute_error,
    multi_scale_structural_dissimilarity,
)
from retina_adapt.training import (
    TrackingSettings,
    TrainingSettings,
    Validation,
    mean_scores,
    new_accelerator,
    run_recipe,
    start_run,
    train,
)

TrainingImages = UnpairedImages | StreamedImages

# On a validation's sheet in TensorBoard.
PICTURES = 4


@dataclass
class AutoencoderDataSettings:
    """The photographs.

    Args:
        train: sources to train on.
        validation: sources to validate on.
        prepared_size: side in pixels of the squares that crops are cut from.
        crop_size: side in pixels of the training crops.
        degradation_probability: how often a training photograph is degraded first, since the backbone must reconstruct
            photographs of any quality.
        degradations: presets to choose from.
        largest_broken_share: share of the training photographs, in [0, 1], that may be broken and are then left out.
    """

    train: list[PhotographSource] = field(default_factory=list)
    validation: list[PhotographSource] = field(default_factory=list)
    prepared_size: int = 720
    crop_size: int = 128
    degradation_probability: float = 0.25
    degradations: list[str] = field(default_factory=lambda: ["light", "haze", "blur"])
    largest_broken_share: float = 0.05


@dataclass
class AutoencoderLossWeights:
    """Weights of the losses; the absolute error has weight 1.

    Args:
        structural: weight of one minus SSIM, averaged over `structural_scales` scales, each half the size of the one
            before.
        structural_scales: number of scales; 1 compares at full resolution only.
        perceptual: weight of the distance between the features of a frozen reference backbone.
        regularization: weight of the autoencoder's own loss on latents: the KL divergence from a standard normal
            distribution, or the distance to the codes of `vq`; null takes the autoencoder's default.
    """

    structural: float = 0.2
    structural_scales: int = 3
    perceptual: float = 0.0
    regularization: float | None = None

    def __post_init__(self) -> None:
        for name in ("structural", "perceptual", "regularization"):
            weight = getattr(self, name)
            if weight is not None and not weight >= 0:
                raise ConfigurationError(f"loss_weights.{name} is {weight}; it must not be negative")
        if self.structural_scales < 1:
            raise ConfigurationError(
                f"loss_weights.structural_scales is {self.structural_scales}; it must be at least 1"
            )


@dataclass
class ReconstructAutoencoderConfig:
    """Everything that recipes/reconstruct_autoencoder.py reads.

    Args:
        output_folder: where the backbone, checkpoints and logs go.
        backbone: the backbone's shape.
        data: the photographs.
        loss_weights: weights of the loss terms.
        perceptual_reference: name of the embedded backbone, or backbone folder, whose features the perceptual term
            compares.
        adversarial: the adversarial term; weight 0 leaves it out.
        training: the training loop.
        tracking: where the run is logged.
    """

    output_folder: str
    backbone: BackboneShape = field(default_factory=BackboneShape)
    data: AutoencoderDataSettings = field(default_factory=AutoencoderDataSettings)
    loss_weights: AutoencoderLossWeights = field(default_factory=AutoencoderLossWeights)
    perceptual_reference: str = DEFAULT_BACKBONE
    adversarial: AdversarialSettings = field(default_factory=AdversarialSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)


class ReconstructionStep(nn.Module):
    """One step: encode, decode, compare."""

    def __init__(self, backbone: ReconstructionBackbone, config: ReconstructAutoencoderConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.weights = config.loss_weights
        if self.weights.regularization is None:
            self.weights = replace(self.weights, regularization=backbone.autoencoder.regularization_weight)
        self.perceptual = self.adversarial = None
        if config.loss_weights.perceptual:
            reference = load_backbone(backbone_folder(config.perceptual_reference))
            if reference.settings.image_channels != config.backbone.image_channels:
                raise ConfigurationError(
                    f"perceptual_reference: {config.perceptual_reference} sees {reference.settings.image_channels} "
                    f"channels, and backbone.image_channels is {config.backbone.image_channels}; name another "
                    "reference, or set loss_weights.perceptual to 0"
                )
            self.perceptual = PerceptualDistance(reference)
        if config.adversarial.weight:
            self.adversarial = AdversarialTerm(config.adversarial, config.backbone.image_channels)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        images, weights = batch["image"], self.weights
        reconstructed, regularization = self.backbone.reconstruct(images, batch["seed"].tolist())
        losses = {"absolute_error": absolute_error(reconstructed, images)}
        if weights.structural:
            losses["structural"] = multi_scale_structural_dissimilarity(
                reconstructed, images, weights.structural_scales
            )
        losses["regularization"] = regularization
        if self.perceptual is not None:
            losses["perceptual"] = self.perceptual(reconstructed, images)
        reconstruction = losses["absolute_error"] + sum(
            getattr(weights, name) * value for name, value in losses.items() if name != "absolute_error"
        )
        losses["reconstruction"] = loss = reconstruction
        if self.adversarial is not None:
            last_layer = self.backbone.autoencoder.last_layer()
            adversarial = self.adversarial(reconstructed, images, reconstruction, last_layer, batch["step"])
            losses |= adversarial
            loss = reconstruction + adversarial["generator"] + adversarial["discriminator"]
        return {"loss": loss, **losses}


def setup(config: ReconstructAutoencoderConfig) -> tuple[Accelerator, ReconstructionBackbone]:
    accelerator = new_accelerator(config.training, config.tracking, config.output_folder)
    set_seed(config.training.seed)
    backbone = build_backbone(config.backbone).without_denoiser()
    if config.data.crop_size % backbone.stride:
        raise ConfigurationError(
            f"data.crop_size is {config.data.crop_size}; with this backbone it must be a multiple of {backbone.stride}"
        )
    start_run(accelerator, config, config.output_folder, config.tracking)
    if config.training.gradient_checkpointing:
        backbone.enable_gradient_checkpointing()
    return accelerator, backbone.to(accelerator.device)


def prepare_data(
    config: ReconstructAutoencoderConfig, accelerator: Accelerator
) -> tuple[TrainingImages, UnpairedImages]:
    data = config.data
    crop = RandomCrop(
        data.crop_size,
        degradation_probability=data.degradation_probability,
        presets=tuple(data.degradations),
    )
    with accelerator.main_process_first():
        training = open_training_images(
            data.train, data.prepared_size, crop, largest_broken_share=data.largest_broken_share
        )
        validation = PreparedPhotographs(open_sources(data.validation), config.backbone.image_size)
    return training, UnpairedImages(validation, WholeFrame(config.backbone.image_size))


def validate(backbone: ReconstructionBackbone, images: UnpairedImages, accelerator: Accelerator) -> Validation:
    """Reconstruction PSNR and SSIM in the field of view, and a sheet original | reconstructed."""
    sampler = EvaluationBatchSampler(
        len(images), 4, seed=0, rank=accelerator.process_index, world_size=accelerator.num_processes
    )
    scores, pictures = [], []
    for batch in DataLoader(images, batch_sampler=sampler):
        originals = batch["image"].to(accelerator.device)
        reconstructed = backbone.decode(backbone.encode(originals)).clamp(0, 1)
        for original, result, mask in zip(originals, reconstructed, batch["mask"], strict=True):
            target_pixels, result_pixels = (t.permute(1, 2, 0).cpu().float().numpy() for t in (original, result))
            psnr, ssim = psnr_and_ssim(result_pixels, target_pixels, mask[0].numpy())
            scores.append({"psnr": psnr, "ssim": ssim})
            if len(pictures) < PICTURES:
                pictures.append(np.concatenate([target_pixels, result_pixels], axis=1))
    # With more processes than photographs, some have none.
    sheets = {"original_reconstructed": (np.concatenate(pictures) * 255).round().astype(np.uint8)} if pictures else {}
    return Validation(mean_scores(accelerator, scores), sheets)


def whole_frames(backbone: ReconstructionBackbone, images: TrainingImages, least: int) -> Iterator[Tensor]:
    """Yield at least `least` training photographs (or all, if fewer) one at a time, as the backbone will see them.

    Those of a data set with positions are spread evenly over it, and are fewer than twice `least`; those of a stream
    are the first of a shuffle.
    """
    whole = WholeFrame(backbone.settings.image_size)
    if isinstance(images, StreamedImages):
        items = islice(images.with_transform(whole).share(seed=0, epochs=1), least)
    else:
        frames = UnpairedImages(images.prepared, whole)
        items = (frames[Draw(index, seed=0)] for index in range(0, len(frames), max(1, len(frames) // least)))
    for item in items:
        yield item["image"][None].to(backbone.latent_mean.device)


def main(config: ReconstructAutoencoderConfig) -> None:
    accelerator, backbone = setup(config)
    training_images, validation_images = prepare_data(config, accelerator)
    backbone.start_from(torch.cat(list(whole_frames(backbone, training_images, least=64))))

    def batches_from(first: int) -> Iterator[dict[str, Tensor]]:
        settings = config.training
        return training_batches(
            training_images,
            settings.batch_size,
            steps=settings.steps * settings.gradient_accumulation,
            seed=settings.seed,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
            first_step=first,
            workers=settings.workers,
        )

    validation = train(
        ReconstructionStep(backbone, config),
        name="autoencoder",
        watched_loss="reconstruction",
        accelerator=accelerator,
        settings=config.training,
        batches_from=batches_from,
        validate=lambda: validate(backbone, validation_images, accelerator),
        output_folder=config.output_folder,
    )
    if accelerator.is_main_process:
        backbone.measure_latents(whole_frames(backbone, training_images, least=8 if config.training.dry_run else 1000))
        folder = Path(config.output_folder) / "backbone"
        save_backbone(backbone, folder)
        accelerator.print(f"{folder}: {validation.scores}")
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    run_recipe(main, ReconstructAutoencoderConfig, description=__doc__)
