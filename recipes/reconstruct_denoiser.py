"""Reconstruction, part two: train a backbone's denoiser on the latents of unpaired photographs.

    accelerate launch recipes/reconstruct_denoiser.py --config recipes/configs/reconstruct_denoiser_nano.yaml

The denoiser learns to restore a noisy latent under the condition of the same photograph's latent; the autoencoder of
part one stays as it is. Writes a complete backbone folder to `<output_folder>/backbone`. Interrupted, the same command
resumes.
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
    load_backbone,
    sample_latents,
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
from retina_adapt.objectives import diffusion_loss, diffusion_target
from retina_adapt.training import TrainingSettings, Validation, mean_scores, start_run, train


@dataclass
class DenoiserDataSettings:
    """The photographs.

    Args:
        train: sources to train on.
        validation: sources to validate on.
        prepared_size: side in pixels of the squares that frames of the backbone's size are cut from.
        degradation_probability: how often a training photograph is degraded first.
        degradations: presets to choose from.
    """

    train: list[PhotographSource] = field(default_factory=list)
    validation: list[PhotographSource] = field(default_factory=list)
    prepared_size: int = 384
    degradation_probability: float = 0.25
    degradations: list[str] = field(default_factory=lambda: ["light", "haze", "blur"])


@dataclass
class ReconstructDenoiserConfig:
    """Everything that recipes/reconstruct_denoiser.py reads.

    Args:
        autoencoder: folder of the backbone whose autoencoder is trained.
        output_folder: where the backbone, checkpoints and logs go.
        backbone: the backbone's shape; its autoencoder as in part one.
        data: the photographs.
        condition_noise: largest standard deviation of the noise added to the condition in training, in units of the
            latents' own; each photograph draws its own up to it. With a perfect condition the denoiser would learn to
            copy it, and nothing else.
        sampling_steps: denoiser calls when validating.
        training: the training loop.
    """

    autoencoder: str
    output_folder: str
    backbone: BackboneShape = field(default_factory=BackboneShape)
    data: DenoiserDataSettings = field(default_factory=DenoiserDataSettings)
    condition_noise: float = 0.0
    sampling_steps: int = 4
    training: TrainingSettings = field(default_factory=TrainingSettings)


class DenoisingStep(nn.Module):
    """One step: encode, add noise of a random level, predict under the condition of the latent, itself made noisy."""

    def __init__(self, backbone: ReconstructionBackbone, condition_noise: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.condition_noise = condition_noise

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        scheduler = self.backbone.scheduler
        with torch.no_grad():
            latents = self.backbone.encode(batch["image"])
        seeds = batch["seed"].tolist()
        noise = seeded_noise(seeds, tuple(latents.shape[1:]), like=latents)
        timesteps = (batch["seed"] % scheduler.config.num_train_timesteps).to(latents.device)
        noisy_latents = scheduler.add_noise(latents, noise, timesteps)
        prediction = self.backbone.predict(noisy_latents, timesteps, self._condition(latents, batch["seed"]))
        target = diffusion_target(latents, noise, scheduler.alphas_cumprod, timesteps, scheduler.config.prediction_type)
        return {"loss": diffusion_loss(prediction, target)}

    def _condition(self, latents: Tensor, seeds: Tensor) -> Tensor:
        # Other seeds than the diffusion noise's, and a deviation that does not follow the noise level's draw.
        noise = seeded_noise((seeds // 2).tolist(), tuple(latents.shape[1:]), like=latents)
        share = (seeds // 1000 % 1000).to(latents).view(-1, 1, 1, 1) / 1000
        return latents + self.condition_noise * share * noise


def setup(config: ReconstructDenoiserConfig) -> tuple[Accelerator, ReconstructionBackbone]:
    accelerator = Accelerator(
        mixed_precision=config.training.mixed_precision,
        gradient_accumulation_steps=config.training.gradient_accumulation,
        log_with="tensorboard",
        project_dir=config.output_folder,
    )
    start_run(accelerator, config, config.output_folder)
    set_seed(config.training.seed)
    backbone = build_backbone(config.backbone)
    backbone.autoencoder = load_backbone(config.autoencoder).autoencoder
    backbone.denoiser.requires_grad_(True)
    return accelerator, backbone.to(accelerator.device)


def prepare_data(config: ReconstructDenoiserConfig, accelerator: Accelerator) -> tuple[UnpairedImages, UnpairedImages]:
    data, image_size = config.data, config.backbone.image_size
    with accelerator.main_process_first():
        training = PreparedPhotographs(open_sources(data.train), data.prepared_size)
        validation = PreparedPhotographs(open_sources(data.validation), image_size)
    crop = RandomCrop(
        image_size,
        degradation_probability=data.degradation_probability,
        presets=tuple(data.degradations),
    )
    return UnpairedImages(training, crop), UnpairedImages(validation, WholeFrame(image_size))


def validate(
    backbone: ReconstructionBackbone, images: UnpairedImages, sampling_steps: int, accelerator: Accelerator
) -> Validation:
    """PSNR and SSIM in the field of view of photographs sampled under their own latents, and a sheet of some."""
    sampler = EvaluationBatchSampler(
        len(images), 4, seed=0, rank=accelerator.process_index, world_size=accelerator.num_processes
    )
    scores, pictures = [], []
    for batch in DataLoader(images, batch_sampler=sampler):
        originals = batch["image"].to(accelerator.device)
        latents = sample_latents(
            backbone, backbone.encode(originals), steps=sampling_steps, seeds=batch["seed"].tolist()
        )
        for original, result, mask in zip(originals, backbone.decode(latents).clamp(0, 1), batch["mask"], strict=True):
            target_pixels, result_pixels = (t.permute(1, 2, 0).cpu().float().numpy() for t in (original, result))
            found = score_image(result_pixels, target_pixels, mask[0].numpy())
            scores.append({"psnr": found.psnr, "ssim": found.ssim})
            pictures.append(np.concatenate([target_pixels, result_pixels], axis=1))
    sheet = (np.concatenate(pictures[:4]) * 255).round().astype(np.uint8)
    return Validation(mean_scores(accelerator, scores), {"original_sampled": sheet})


def main(config: ReconstructDenoiserConfig) -> None:
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
        DenoisingStep(backbone, config.condition_noise),
        name="denoiser",
        accelerator=accelerator,
        settings=config.training,
        batches_from=batches_from,
        validate=lambda: validate(backbone, validation_images, config.sampling_steps, accelerator),
        output_folder=config.output_folder,
    )
    if accelerator.is_main_process:
        folder = Path(config.output_folder) / "backbone"
        save_backbone(backbone, folder)
        accelerator.print(f"{folder}: {validation.scores}")
    accelerator.end_training()


if __name__ == "__main__":
    try:
        main(parse_configuration(ReconstructDenoiserConfig, description=__doc__))
    except RetinaAdaptError as error:
        sys.exit(f"error: {error}")
