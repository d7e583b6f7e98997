"""The reconstruction backbone: an autoencoder, a latent denoiser conditioned on a latent, and a noise schedule."""

from dataclasses import dataclass

import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DModel
from torch import Tensor, cat, nn

from retina_adapt.backbones.fingerprint import fingerprint_tensors
from retina_adapt.backbones.hook_points import HookPoint, residual_block_hook_points
from retina_adapt.errors import RetinaAdaptError


class MissingDenoiserError(RetinaAdaptError):
    """The backbone's autoencoder is trained but its denoiser is not yet."""


@dataclass(frozen=True)
class BackboneSettings:
    """What the backbone's parts do not say of themselves.

    Attributes:
        image_size: side in pixels of the square frames that it was trained on.
        image_channels: 3 for colour, 1 for grey.
        space_to_depth: images are rearranged from (C, H, W) to (C s², H/s, W/s) before the autoencoder, and back
            after it. Costly convolutions at full resolution are saved; 1 leaves images as they are.
        predicts_change: the denoiser's output is added to its condition, so that an untrained denoiser returns the
            condition and a trained one what is to change in it; for the prediction type `sample` only.
    """

    image_size: int
    image_channels: int = 3
    space_to_depth: int = 1
    predicts_change: bool = False


class ReconstructionBackbone(nn.Module):
    """Reconstructs images; frozen, it is what adaptors are attached to.

    Images are (batch, channels, height, width) in [0, 1], with sides divisible by `stride`. Latents are
    (batch, latent_channels, height / stride, width / stride) with a mean near 0 and a standard deviation near 1
    over the training images: `scaling_factor` and `shift_factor` of the autoencoder's configuration see to it.
    """

    def __init__(
        self,
        autoencoder: AutoencoderKL,
        denoiser: UNet2DModel | None,
        scheduler: DDIMScheduler,
        settings: BackboneSettings,
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.denoiser = denoiser
        self.scheduler = scheduler
        self.settings = settings
        # Found once: attached adaptors wrap these modules, after which a search would no longer see them.
        self._hook_points = self._find_hook_points()

    @property
    def stride(self) -> int:
        """Image pixels per latent pixel, along a side."""
        levels = len(self.autoencoder.config.block_out_channels)
        return self.settings.space_to_depth * 2 ** (levels - 1)

    @property
    def latent_channels(self) -> int:
        return self.autoencoder.config.latent_channels

    def moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the unscaled latent distribution, each shaped as latents."""
        distribution = self.autoencoder.encode(self._to_autoencoder(images)).latent_dist
        return distribution.mean, distribution.logvar

    def encode(self, images: Tensor) -> Tensor:
        """The scaled latent of the images: the mean of the posterior, hence deterministic."""
        return self.scale_latents(self.moments(images)[0])

    def decode(self, latents: Tensor) -> Tensor:
        """Images of scaled latents. Not clamped, so that gradients pass; clamp to [0, 1] for viewing."""
        decoded = self.autoencoder.decode(self.unscale_latents(latents)).sample
        if self.settings.space_to_depth > 1:
            decoded = F.pixel_shuffle(decoded, self.settings.space_to_depth)
        return decoded * 0.5 + 0.5

    def predict(self, noisy_latents: Tensor, timesteps: Tensor, condition_latents: Tensor) -> Tensor:
        """The denoiser's prediction (noise, velocity or sample: `scheduler.config.prediction_type`), shaped as latents.

        Raises:
            MissingDenoiserError: if only the autoencoder has been trained.
        """
        if self.denoiser is None:
            raise MissingDenoiserError(
                "this backbone has no denoiser yet: train one with recipes/reconstruct_denoiser.py, "
                "or use the mode 'fast', which needs the autoencoder only"
            )
        prediction = self.denoiser(cat([noisy_latents, condition_latents], dim=1), timesteps).sample
        return condition_latents + prediction if self.settings.predicts_change else prediction

    def scale_latents(self, unscaled: Tensor) -> Tensor:
        """From the autoencoder's own latents to latents with mean near 0 and standard deviation near 1."""
        config = self.autoencoder.config
        return (unscaled - (config.shift_factor or 0.0)) * config.scaling_factor

    def unscale_latents(self, latents: Tensor) -> Tensor:
        """The inverse of `scale_latents`."""
        config = self.autoencoder.config
        return latents / config.scaling_factor + (config.shift_factor or 0.0)

    def hook_points(self) -> list[HookPoint]:
        """Every place where an adaptor may sit, attached adaptors or not."""
        return list(self._hook_points)

    def fingerprint(self) -> str:
        """sha256 over the backbone's tensors. Take it before adaptors are attached: they rename modules."""
        return fingerprint_tensors(self.state_dict())

    def _find_hook_points(self) -> list[HookPoint]:
        """The residual blocks of encoder, decoder and denoiser."""
        points = residual_block_hook_points(self.autoencoder.encoder, "autoencoder.encoder", "encoder")
        points += residual_block_hook_points(self.autoencoder.decoder, "autoencoder.decoder", "decoder")
        if self.denoiser is not None:
            denoiser = self.denoiser
            points += residual_block_hook_points(denoiser.down_blocks, "denoiser.down_blocks", "denoiser.down")
            points += residual_block_hook_points(denoiser.mid_block, "denoiser.mid_block", "denoiser.mid")
            points += residual_block_hook_points(denoiser.up_blocks, "denoiser.up_blocks", "denoiser.up")
        return points

    def _to_autoencoder(self, images: Tensor) -> Tensor:
        centered = images * 2 - 1
        if self.settings.space_to_depth > 1:
            return F.pixel_unshuffle(centered, self.settings.space_to_depth)
        return centered
