"""The training steps of the two stages of adaptation: a batch of pairs in, its losses out.

A batch holds the photographs "low" and "high", (batch, channels, height, width) in [0, 1], their fields of view "mask",
(batch, 1, height, width), boolean, and "seed", one integer per pair that determines its noise. It may also hold the
frozen encoder's latents of both photographs as "low_latent" and "high_latent". "loss" is the loss to minimise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import torch
import torch.nn.functional as F
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from retina_adapt.adaptation.losses import AdaptationLossWeights, picture_losses, weighted_sum
from retina_adapt.adaptors import adaptors_bypassed, group_is_frozen
from retina_adapt.backbones import ReconstructionBackbone, seeded_noise
from retina_adapt.enhancement import FINE_SCALE, apply_change, combine_looks
from retina_adapt.objectives import (
    diffusion_loss,
    diffusion_target,
    latent_adaptation_loss,
    latent_preservation_loss,
)


class AdaptationStep(nn.Module):
    """What both stages share: access to the backbone as it was before adaptation."""

    def __init__(self, backbone: ReconstructionBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def train(self, mode: bool = True) -> Self:
        """Set only the adaptors to training mode.

        The frozen backbone's batch normalisation and dropout, if it has any, behave as when photographs are enhanced.
        """
        super().train(mode)
        self.backbone.eval()
        for layer in self.backbone.modules():
            if isinstance(layer, BaseTunerLayer):
                layer.train(mode)
                layer.get_base_layer().eval()
        return self

    @contextmanager
    def frozen_backbone(self) -> Iterator[ReconstructionBackbone]:
        """Give the backbone as it was before adaptation, without gradients."""
        with torch.no_grad(), adaptors_bypassed(self.backbone):
            yield self.backbone

    def frozen_latents(self, batch: dict[str, Tensor], name: str) -> Tensor:
        """The frozen encoder's latents of the photographs `name`, from the batch if it holds them."""
        if f"{name}_latent" in batch:
            return batch[f"{name}_latent"]
        with self.frozen_backbone() as backbone:
            return backbone.encode(batch[name])


class AutoencoderAdaptationStep(AdaptationStep):
    """Stage one: how far the enhanced photograph is from the clear one, plus the paper's latent terms if weighted.

    Photographs larger than the backbone's frame are judged through both of the enhancer's looks (`two_looks`).
    """

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
            # Nothing changes these latents: they need no graph, and losses on them would teach nothing.
            adapted_low = self.frozen_latents(batch, "low")
        elif self.weights.latent_preservation > 0:
            adapted_low, adapted_high = self.backbone.encode(torch.cat([low, high])).chunk(2)
            losses["latent_preservation"] = latent_preservation_loss(self.frozen_latents(batch, "high"), adapted_high)
        else:
            adapted_low = self.backbone.encode(low)
        if self.weights.latent_adaptation > 0 and not encoder_is_frozen:
            losses["latent_adaptation"] = latent_adaptation_loss(self.frozen_latents(batch, "high"), adapted_low)
        if self.weights.on_pictures:
            frozen_low = adapted_low if encoder_is_frozen else self.frozen_latents(batch, "low")
            with self.frozen_backbone() as backbone:
                frozen = backbone.decode(frozen_low)
            enhanced = apply_change(low, self.backbone.decode(adapted_low), frozen)
            losses |= self.judge(enhanced, batch)
        return weighted_sum(losses, self.weights)

    def two_looks(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The sum of the losses on the frame and on the larger copy; the batch holds the larger one."""
        frame = {name: F.avg_pool2d(batch[name], FINE_SCALE) for name in ("low", "high")}
        frame["mask"] = F.avg_pool2d(batch["mask"].to(batch["low"].dtype), FINE_SCALE) == 1
        frame_change = self.change(frame["low"])
        change = combine_looks(frame_change, self.change(batch["low"]))
        of_frame = self.judge(frame["low"] + frame_change, frame)
        of_larger = self.judge(batch["low"] + change, batch, scale=FINE_SCALE)
        return weighted_sum({name: of_frame[name] + of_larger[name] for name in of_frame}, self.weights)

    def judge(self, enhanced: Tensor, batch: dict[str, Tensor], *, scale: int = 1) -> dict[str, Tensor]:
        """The losses on enhanced photographs, each under the name of its weight in `weights`.

        Args:
            enhanced: photographs in the shape of `batch["high"]`.
            scale: their side, in sides of the backbone's frame.
        """
        return picture_losses(enhanced, batch, self.weights, scale=scale)

    def change(self, low: Tensor) -> Tensor:
        """What the adaptors change in the photographs `low`, in the same shape."""
        with self.frozen_backbone() as backbone:
            latent = backbone.encode(low)
            frozen = backbone.decode(latent)
        if not group_is_frozen(self.backbone, "encoder"):
            latent = self.backbone.encode(low)
        return self.backbone.decode(latent) - frozen


class DenoiserAdaptationStep(AdaptationStep):
    """Stage two: the diffusion loss on the clear latent, conditioned on the adapted latent of the low photograph.

    The clear latent comes from the frozen encoder, as in the paper, unless the decoder is adapted too. Then the adapted
    encoder and decoder have agreed on latents of their own, and sampling has to end on those.

    Raises:
        MissingDenoiserError: in `forward`, if the backbone has no denoiser.
    """

    def adapted_latents(self, batch: dict[str, Tensor], name: str) -> Tensor:
        """The adapted encoder's latents of the photographs `name`, without gradients."""
        if group_is_frozen(self.backbone, "encoder"):
            return self.frozen_latents(batch, name)
        with torch.no_grad():
            return self.backbone.encode(batch[name])

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        _, scheduler = self.backbone.require_denoiser()
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
