"""Reconstruction, part two: train a backbone's denoiser on the latents of unpaired photographs.

    accelerate launch recipes/reconstruct_denoiser.py --config recipes/configs/reconstruct_denoiser_nano.yaml

The denoiser learns to restore a noisy latent, conditioned on the same photograph's latent; the autoencoder of part one
stays as it is. Writes a complete backbone folder to `<output_folder>/backbone`. If interrupted, the same command
resumes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

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
    require_sampling_steps,
    sample_latents,
    save_backbone,
    seeded_noise,
)
from retina_adapt.configuration import ConfigurationError
from retina_adapt.data import (
    DegradedCrop,
    EvaluationBatchSampler,
    LatentCache,
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
from retina_adapt.embedded import backbone_folder
from retina_adapt.evaluation import psnr_and_ssim
from retina_adapt.objectives import diffusion_loss, diffusion_target, min_snr_weight
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

# On a validation's sheet in TensorBoard.
PICTURES = 4


@dataclass
class DenoiserDataSettings:
    """The photographs.

    Args:
        train: sources to train on.
        validation: sources to validate on.
        prepared_size: side in pixels of the squares that frames of the backbone's size are cut from.
        degradation_probability: how often a training photograph is degraded first.
        degradations: presets to choose from.
        largest_broken_share: share of the training photographs, in [0, 1], that may be broken and are then left out.
        latent_cache_variants: number of crops of each photograph whose latents are encoded once and kept on disk,
            beside the prepared photographs; 0 draws a new crop and encodes it at every step.
    """

    train: list[PhotographSource] = field(default_factory=list)
    validation: list[PhotographSource] = field(default_factory=list)
    prepared_size: int = 384
    degradation_probability: float = 0.25
    degradations: list[str] = field(default_factory=lambda: ["light", "haze", "blur"])
    largest_broken_share: float = 0.05
    latent_cache_variants: int = 0


@dataclass
class ConditionCorruption:
    """How the condition is corrupted in training.

    With a perfect condition, the denoiser would learn to copy it and nothing else; docs/results.md compares the
    corruptions by the adaptors that they allow.

    Args:
        noise: largest standard deviation of the noise added to the condition, in units of the latents' own; each
            photograph draws its own up to it.
        dropout: how often the condition is left out (set to zeros).
        degraded: degrade only the condition's photograph by `data.degradations`, and leave the target as it is; false
            degrades both alike.
    """

    noise: float = 0.3
    dropout: float = 0.0
    degraded: bool = False

    def __post_init__(self) -> None:
        if not self.noise >= 0 or not 0 <= self.dropout <= 1:
            raise ConfigurationError("condition: noise must not be negative, and dropout must lie in [0, 1]")


@dataclass
class ReconstructDenoiserConfig:
    """Everything that recipes/reconstruct_denoiser.py reads.

    Args:
        autoencoder: the backbone that provides the trained autoencoder: name of an embedded one, or a backbone folder.
        output_folder: where the backbone, checkpoints and logs go.
        backbone: the backbone's shape, with the autoencoder as in part one.
        data: the photographs.
        condition: how the condition is corrupted.
        min_snr_gamma: weigh noise levels by their signal-to-noise ratio, capped at this value (Hang et al. 2023); 0
            weighs all alike.
        sampling_steps: number of steps when validating.
        training: the training loop.
        tracking: where the run is logged.
    """

    autoencoder: str
    output_folder: str
    backbone: BackboneShape = field(default_factory=BackboneShape)
    data: DenoiserDataSettings = field(default_factory=DenoiserDataSettings)
    condition: ConditionCorruption = field(default_factory=ConditionCorruption)
    min_snr_gamma: float = 0.0
    sampling_steps: int = 4
    training: TrainingSettings = field(default_factory=TrainingSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)

    def __post_init__(self) -> None:
        if self.min_snr_gamma != 0 and not self.min_snr_gamma >= 1:
            raise ConfigurationError(f"min_snr_gamma is {self.min_snr_gamma}; it must be at least 1, and 0 is off")


class DenoisingStep(nn.Module):
    """One step: encode, add noise of a random level, predict under the corrupted condition."""

    def __init__(self, backbone: ReconstructionBackbone, config: ReconstructDenoiserConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.condition = config.condition
        self.min_snr_gamma = config.min_snr_gamma

    def train(self, mode: bool = True) -> Self:
        """Set only the denoiser to training mode: the autoencoder is frozen, and encodes as it does in use."""
        super().train(mode)
        self.backbone.autoencoder.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        scheduler = self.backbone.scheduler
        if "latent" in batch:
            latents, condition = batch["latent"], batch.get("condition", batch["latent"])
        else:
            with torch.no_grad():
                latents = self.backbone.encode(batch["image"])
                condition = self.backbone.encode(batch["degraded"]) if "degraded" in batch else latents
        noise = seeded_noise(batch["seed"].tolist(), tuple(latents.shape[1:]), like=latents)
        timesteps = (batch["seed"] % scheduler.config.num_train_timesteps).to(latents.device)
        noisy_latents = scheduler.add_noise(latents, noise, timesteps)
        prediction = self.backbone.predict(noisy_latents, timesteps, self._corrupted(condition, batch["seed"]))
        levels, prediction_type = scheduler.alphas_cumprod, scheduler.config.prediction_type
        target = diffusion_target(latents, noise, levels, timesteps, prediction_type)
        weights = None
        if self.min_snr_gamma:
            weights = min_snr_weight(levels, timesteps, prediction_type, self.min_snr_gamma)
        return {"loss": diffusion_loss(prediction, target, weights)}

    def _corrupted(self, condition: Tensor, seeds: Tensor) -> Tensor:
        # From other digits of the seeds than the noise and its level.
        noise = seeded_noise((seeds // 2).tolist(), tuple(condition.shape[1:]), like=condition)
        share = (seeds // 1000 % 1000).to(condition).view(-1, 1, 1, 1) / 1000
        kept = (seeds // 10**6 % 1000).to(condition).view(-1, 1, 1, 1) / 1000 >= self.condition.dropout
        return (condition + self.condition.noise * share * noise) * kept


def setup(config: ReconstructDenoiserConfig) -> tuple[Accelerator, ReconstructionBackbone]:
    accelerator = new_accelerator(config.training, config.tracking, config.output_folder)
    set_seed(config.training.seed)
    backbone = build_backbone(config.backbone).with_autoencoder_of(load_backbone(backbone_folder(config.autoencoder)))
    require_sampling_steps(backbone, config.sampling_steps)
    start_run(accelerator, config, config.output_folder, config.tracking)
    if config.training.gradient_checkpointing:
        backbone.enable_gradient_checkpointing()
    return accelerator, backbone.to(accelerator.device)


def prepare_data(
    config: ReconstructDenoiserConfig, backbone: ReconstructionBackbone, accelerator: Accelerator
) -> tuple[UnpairedImages | StreamedImages | LatentCache, UnpairedImages]:
    data, image_size = config.data, config.backbone.image_size
    crop = RandomCrop(
        image_size,
        degradation_probability=data.degradation_probability,
        presets=tuple(data.degradations),
    )
    transform = DegradedCrop(crop) if config.condition.degraded else crop
    with accelerator.main_process_first():
        training = open_training_images(
            data.train, data.prepared_size, transform, largest_broken_share=data.largest_broken_share
        )
        validation = PreparedPhotographs(open_sources(data.validation), image_size)
        if data.latent_cache_variants and not config.training.dry_run:
            training = LatentCache(
                training,
                lambda images: backbone.encode(images.to(accelerator.device)),
                variants=data.latent_cache_variants,
                seed=config.training.seed,
                key=backbone.without_denoiser().fingerprint(),
                workers=config.training.workers,
            )
    return training, UnpairedImages(validation, WholeFrame(image_size))


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
            psnr, ssim = psnr_and_ssim(result_pixels, target_pixels, mask[0].numpy())
            scores.append({"psnr": psnr, "ssim": ssim})
            if len(pictures) < PICTURES:
                pictures.append(np.concatenate([target_pixels, result_pixels], axis=1))
    # With more processes than photographs, some have none.
    sheets = {"original_sampled": (np.concatenate(pictures) * 255).round().astype(np.uint8)} if pictures else {}
    return Validation(mean_scores(accelerator, scores), sheets)


def main(config: ReconstructDenoiserConfig) -> None:
    accelerator, backbone = setup(config)
    training_images, validation_images = prepare_data(config, backbone, accelerator)

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
        DenoisingStep(backbone, config),
        name="denoiser",
        accelerator=accelerator,
        settings=config.training,
        batches_from=batches_from,
        validate=lambda: validate(backbone, validation_images, config.sampling_steps, accelerator),
        output_folder=config.output_folder,
        built_on=backbone.without_denoiser().fingerprint(),
    )
    if accelerator.is_main_process:
        folder = Path(config.output_folder) / "backbone"
        save_backbone(backbone, folder)
        accelerator.print(f"{folder}: {validation.scores}")
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    run_recipe(main, ReconstructDenoiserConfig, description=__doc__)
