"""Reconstruction, part one: train a backbone's autoencoder on unpaired photographs of any quality.

    accelerate launch recipes/reconstruct_autoencoder.py --config recipes/configs/reconstruct_nano.yaml

Writes a backbone folder (its denoiser still untrained, hence absent) to `<output_folder>/backbone`; go on with
recipes/reconstruct_denoiser.py. Interrupted, the same command resumes.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
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
    save_backbone,
    seeded_noise,
)
from retina_adapt.configuration import parse_configuration
from retina_adapt.data import (
    EvaluationBatchSampler,
    PhotographSource,
    PreparedPhotographs,
    RandomCrop,
    TrainingBatchSampler,
    UnpairedImages,
    WholeFrame,
    open_sources,
)
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.evaluation import score_image
from retina_adapt.objectives import absolute_error, kl_divergence, structural_dissimilarity
from retina_adapt.training import TrainingSettings, Validation, mean_scores, start_run, train


@dataclass
class AutoencoderDataSettings:
    """The photographs.

    Args:
        train: sources to train on.
        validation: sources to validate on.
        prepared_size: side in pixels of the squares that crops are cut from.
        crop_size: side in pixels of the training crops.
        degradation_probability: how often a training photograph is degraded first: the backbone has to
            reconstruct photographs of any quality.
        degradations: presets to choose from.
    """

    train: list[PhotographSource] = field(default_factory=list)
    validation: list[PhotographSource] = field(default_factory=list)
    prepared_size: int = 720
    crop_size: int = 128
    degradation_probability: float = 0.25
    degradations: list[str] = field(default_factory=lambda: ["light", "haze", "blur"])


@dataclass
class AutoencoderLossWeights:
    """Weights of the losses; the absolute error has weight 1.

    Args:
        structural: of one minus SSIM.
        kl: of the KL divergence, which keeps latents near a standard normal distribution.
    """

    structural: float = 0.2
    kl: float = 1e-6


@dataclass
class ReconstructAutoencoderConfig:
    """Everything that recipes/reconstruct_autoencoder.py reads.

    Args:
        output_folder: where the backbone, checkpoints and logs go.
        backbone: the backbone's shape.
        data: the photographs.
        loss_weights: of the loss terms.
        training: the training loop.
    """

    output_folder: str
    backbone: BackboneShape = field(default_factory=BackboneShape)
    data: AutoencoderDataSettings = field(default_factory=AutoencoderDataSettings)
    loss_weights: AutoencoderLossWeights = field(default_factory=AutoencoderLossWeights)
    training: TrainingSettings = field(default_factory=TrainingSettings)


class ReconstructionStep(nn.Module):
    """One step: encode, sample the latent, decode, compare."""

    def __init__(self, backbone: ReconstructionBackbone, weights: AutoencoderLossWeights) -> None:
        super().__init__()
        self.backbone = backbone
        self.weights = weights

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        images = batch["image"]
        mean, log_variance = self.backbone.moments(images)
        noise = seeded_noise(batch["seed"].tolist(), tuple(mean.shape[1:]), like=mean)
        latents = mean + torch.exp(0.5 * log_variance) * noise
        reconstructed = self.backbone.decode(self.backbone.scale_latents(latents))
        absolute = absolute_error(reconstructed, images)
        structural = structural_dissimilarity(reconstructed, images)
        kl = kl_divergence(mean, log_variance)
        loss = absolute + self.weights.structural * structural + self.weights.kl * kl
        return {"loss": loss, "absolute_error": absolute, "structural_dissimilarity": structural, "kl": kl}


def setup(config: ReconstructAutoencoderConfig) -> tuple[Accelerator, ReconstructionBackbone]:
    accelerator = Accelerator(
        mixed_precision=config.training.mixed_precision,
        gradient_accumulation_steps=config.training.gradient_accumulation,
        log_with="tensorboard",
        project_dir=config.output_folder,
    )
    start_run(accelerator, config, config.output_folder)
    set_seed(config.training.seed)
    backbone = build_backbone(config.backbone)
    backbone.denoiser = None
    return accelerator, backbone.to(accelerator.device)


def prepare_data(
    config: ReconstructAutoencoderConfig, accelerator: Accelerator
) -> tuple[UnpairedImages, UnpairedImages]:
    data = config.data
    with accelerator.main_process_first():
        training = PreparedPhotographs(open_sources(data.train), data.prepared_size)
        validation = PreparedPhotographs(open_sources(data.validation), config.backbone.image_size)
    crop = RandomCrop(
        data.crop_size,
        degradation_probability=data.degradation_probability,
        presets=tuple(data.degradations),
    )
    return UnpairedImages(training, crop), UnpairedImages(validation, WholeFrame(config.backbone.image_size))


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
            found = score_image(result_pixels, target_pixels, mask[0].numpy())
            scores.append({"psnr": found.psnr, "ssim": found.ssim})
            pictures.append(np.concatenate([target_pixels, result_pixels], axis=1))
    sheet = (np.concatenate(pictures[:4]) * 255).round().astype(np.uint8)
    return Validation(mean_scores(accelerator, scores), {"original_reconstructed": sheet})


@torch.no_grad()
def standardize_latents(backbone: ReconstructionBackbone, images: UnpairedImages, device: torch.device) -> None:
    """Measure the latents of whole training frames; store shift and scale so that they get mean 0 and deviation 1."""
    frames = UnpairedImages(images.prepared, WholeFrame(backbone.settings.image_size))
    sampler = EvaluationBatchSampler(len(frames), 4, seed=0)
    latents = torch.cat(
        [backbone.moments(batch["image"].to(device))[0].cpu() for batch in DataLoader(frames, batch_sampler=sampler)]
    )
    backbone.autoencoder.register_to_config(shift_factor=latents.mean().item(), scaling_factor=1 / latents.std().item())


def main(config: ReconstructAutoencoderConfig) -> None:
    accelerator, backbone = setup(config)
    training_images, validation_images = prepare_data(config, accelerator)

    def batches_from(first: int) -> Iterator[dict[str, Tensor]]:
        settings = config.training
        sampler = TrainingBatchSampler(
            len(training_images),
            settings.batch_size,
            steps=settings.steps * settings.gradient_accumulation,
            seed=settings.seed,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
            first_step=first,
        )
        return iter(DataLoader(training_images, batch_sampler=sampler, num_workers=settings.workers))

    validation = train(
        ReconstructionStep(backbone, config.loss_weights),
        name="autoencoder",
        accelerator=accelerator,
        settings=config.training,
        batches_from=batches_from,
        validate=lambda: validate(backbone, validation_images, accelerator),
        output_folder=config.output_folder,
    )
    if accelerator.is_main_process:
        standardize_latents(backbone, training_images, accelerator.device)
        folder = Path(config.output_folder) / "backbone"
        save_backbone(backbone, folder)
        accelerator.print(f"{folder}: {validation.scores}")
    accelerator.end_training()


if __name__ == "__main__":
    try:
        main(parse_configuration(ReconstructAutoencoderConfig, description=__doc__))
    except RetinaAdaptError as error:
        sys.exit(f"error: {error}")
