"""The reconstruction backbone: an autoencoder, a latent denoiser conditioned on a latent, and a noise schedule."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import SchedulerMixin
from torch import Tensor, nn

from retina_adapt.backbones.fingerprint import fingerprint_tensors
from retina_adapt.backbones.hook_points import HookPoint, require_usable_hook_points
from retina_adapt.backbones.parts import LatentAutoencoder, LatentDenoiser, require_seed_of_each_row
from retina_adapt.backbones.shape import require_prediction_of_change
from retina_adapt.errors import RetinaAdaptError


class MissingDenoiserError(RetinaAdaptError):
    """The backbone has no denoiser: it is not trained yet, or the backbone does not use diffusion."""


class BackboneMismatchError(RetinaAdaptError):
    """An autoencoder and a denoiser that were not made for each other."""


class ImageChannelsError(RetinaAdaptError):
    """Images whose number of channels is not the one the backbone was made for."""


class ImageSidesError(RetinaAdaptError):
    """Images whose sides the backbone's stride does not divide."""


class LatentShapeError(RetinaAdaptError):
    """An autoencoder whose latents contradict its stated stride or channels."""


class AdaptedBackboneError(RetinaAdaptError):
    """An operation that needs a backbone without adaptors."""


class GradientCheckpointingError(RetinaAdaptError):
    """A part of the backbone cannot trade computation for memory."""


@dataclass(frozen=True)
class BackboneSettings:
    """Settings of the backbone that are not part of its autoencoder, denoiser or scheduler.

    Attributes:
        image_size: side in pixels of the square frames that it was trained on.
        image_channels: 3 for colour, 1 for grey, any number for other modalities.
        space_to_depth: factor s: images are rearranged from (C, H, W) to (C s², H/s, W/s) before the autoencoder and
            back after it, which avoids costly convolutions at full resolution; 1 leaves images as they are.
        predicts_change: add the denoiser's output to its condition, so that it only has to learn the change: one that
            starts at zero predicts the condition itself. Only for the prediction type `sample`.
    """

    image_size: int
    image_channels: int = 3
    space_to_depth: int = 1
    predicts_change: bool = False


class ReconstructionBackbone(nn.Module):
    """The model that reconstructs images and that, once frozen, adaptors are attached to.

    Images are (batch, channels, height, width) in [0, 1], with sides divisible by `stride` or, where the denoiser is
    used, by `sampling_stride`. Methods raise ImageSidesError for sides that `stride` does not divide, and
    ImageChannelsError for channels other than `settings.image_channels`. Latents are (batch, latent_channels,
    height / stride, width / stride). `latent_mean` and `latent_deviation`, tensors of the backbone, standardise each
    channel to mean 0 and standard deviation 1 over the training images.

    Args:
        denoiser: None if it is not trained yet, or if the backbone does not use diffusion.
        scheduler: the noise schedule; None if the backbone does not use diffusion.

    Raises:
        HookPointError: a part names a hook point where no adaptor can sit.
        NoiseScheduleError: the denoiser predicts the change, but the schedule's prediction type is not `sample`.
    """

    latent_mean: Tensor
    latent_deviation: Tensor

    def __init__(
        self,
        autoencoder: LatentAutoencoder,
        denoiser: LatentDenoiser | None,
        scheduler: SchedulerMixin | None,
        settings: BackboneSettings,
    ) -> None:
        super().__init__()
        if scheduler is not None and settings.predicts_change:
            require_prediction_of_change(scheduler.config.prediction_type)
        self.autoencoder = autoencoder
        self.denoiser = denoiser
        self.scheduler = scheduler
        self.settings = settings
        self.register_buffer("latent_mean", torch.zeros(autoencoder.latent_channels))
        self.register_buffer("latent_deviation", torch.ones(autoencoder.latent_channels))
        # Found only once: attached adaptors wrap these modules, after which a search would no longer find them.
        self._hook_points = [replace(point, name=f"autoencoder.{point.name}") for point in autoencoder.hook_points()]
        if denoiser is not None:
            self._hook_points += [replace(point, name=f"denoiser.{point.name}") for point in denoiser.hook_points()]
        require_usable_hook_points(self, self._hook_points)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.latent_mean.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.latent_mean.dtype

    @property
    def stride(self) -> int:
        """Image pixels per latent pixel, along a side."""
        return self.settings.space_to_depth * self.autoencoder.stride

    @property
    def sampling_stride(self) -> int:
        """The number that must divide the sides of images whose latents the denoiser sees; a multiple of `stride`."""
        return self.stride * (1 if self.denoiser is None else self.denoiser.divisor)

    @property
    def latent_channels(self) -> int:
        return self.autoencoder.latent_channels

    def encode(self, images: Tensor) -> Tensor:
        """The standardised, deterministic latents of images.

        Raises:
            LatentShapeError: their shape contradicts the autoencoder's stride or channels.
        """
        return self.standardize(self._to_latents(images))

    def decode(self, latents: Tensor) -> Tensor:
        """Images from standardised latents. Not clamped, so that gradients pass; clamp to [0, 1] for viewing."""
        return self._from_autoencoder(self.autoencoder.from_latents(self.unstandardize(latents)))

    def reconstruct(self, images: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The training pass of the autoencoder: images, not clamped, and a regularisation loss (a scalar).

        Args:
            seeds: one for each image, for noise on the latents.

        Raises:
            SeedCountError: there are more or fewer seeds than images.
        """
        require_seed_of_each_row(seeds, images)
        decoded, regularization = self.autoencoder.reconstruct(self._to_autoencoder(images), seeds)
        return self._from_autoencoder(decoded), regularization

    def predict(self, noisy_latents: Tensor, timesteps: Tensor, condition_latents: Tensor) -> Tensor:
        """The denoiser's prediction (noise, velocity or sample: `scheduler.config.prediction_type`), shaped as latents.

        Raises:
            MissingDenoiserError: the backbone has no denoiser.
        """
        denoiser, _ = self.require_denoiser()
        prediction = denoiser.denoise(noisy_latents, timesteps, condition_latents)
        return condition_latents + prediction if self.settings.predicts_change else prediction

    def require_denoiser(self) -> tuple[LatentDenoiser, SchedulerMixin]:
        """The denoiser and the noise schedule, which sampling needs; raises MissingDenoiserError if one is missing."""
        if self.denoiser is None or self.scheduler is None:
            raise MissingDenoiserError(
                "this backbone has no denoiser: train one with recipes/reconstruct_denoiser.py if its kind has one, "
                "or use the mode 'fast', which needs only the autoencoder"
            )
        return self.denoiser, self.scheduler

    def start_from(self, images: Tensor) -> None:
        """Initialise the untrained autoencoder from a sample of training images; see `LatentAutoencoder`."""
        self.autoencoder.start_from(self._to_autoencoder(images))

    def measure_latents(self, images: Iterable[Tensor]) -> None:
        """Measure, over these batches of images, the mean and deviation by which latents are standardised.

        Sums run over all pixels of all batches in float64, so the result does not depend on how images are batched.

        Raises:
            LatentShapeError: as `encode`.
        """
        count = 0
        # Numbers until the first batch turns them into tensors.
        total: Any = 0.0
        squares: Any = 0.0
        with torch.no_grad():
            for batch in images:
                # On the CPU, because Apple's GPUs have no float64.
                latents = self._to_latents(batch).cpu().double()
                count += latents.numel() // self.latent_channels
                total = total + latents.sum(dim=(0, 2, 3))
                squares = squares + (latents**2).sum(dim=(0, 2, 3))
        mean = total / count
        self.latent_mean.copy_(mean)
        self.latent_deviation.copy_((squares / count - mean**2).clamp_min(1e-12).sqrt())

    def standardize(self, latents: Tensor) -> Tensor:
        """Map the autoencoder's own latents to ones with mean 0 and standard deviation 1 in each channel."""
        return (latents - self.latent_mean.view(-1, 1, 1)) / self.latent_deviation.view(-1, 1, 1)

    def unstandardize(self, latents: Tensor) -> Tensor:
        """The inverse of `standardize`."""
        return latents * self.latent_deviation.view(-1, 1, 1) + self.latent_mean.view(-1, 1, 1)

    def hook_points(self) -> list[HookPoint]:
        """Every place where an adaptor may sit, whether or not adaptors are attached."""
        return list(self._hook_points)

    def without_denoiser(self) -> "ReconstructionBackbone":
        """A backbone with the same autoencoder and schedule, but without a denoiser."""
        backbone = ReconstructionBackbone(self.autoencoder, None, self.scheduler, self.settings)
        backbone.latent_mean, backbone.latent_deviation = self.latent_mean, self.latent_deviation
        return backbone

    def with_autoencoder_of(self, trained: "ReconstructionBackbone") -> "ReconstructionBackbone":
        """A backbone with this one's denoiser, schedule and settings, and the trained one's autoencoder.

        Raises:
            BackboneMismatchError: the denoiser was made for another autoencoder.
        """
        for what, own, other in (
            ("latent channels", self.latent_channels, trained.latent_channels),
            ("stride", self.stride, trained.stride),
            ("space_to_depth", self.settings.space_to_depth, trained.settings.space_to_depth),
            ("image_channels", self.settings.image_channels, trained.settings.image_channels),
        ):
            if own != other:
                raise BackboneMismatchError(
                    f"the trained autoencoder's {what} is {other}, but the configured backbone's is {own}; "
                    "give both recipes the same backbone.autoencoder"
                )
        backbone = ReconstructionBackbone(trained.autoencoder, self.denoiser, self.scheduler, self.settings)
        backbone.latent_mean, backbone.latent_deviation = trained.latent_mean, trained.latent_deviation
        return backbone

    def enable_gradient_checkpointing(self, enabled: bool = True) -> None:
        """Recompute features in the backward pass instead of keeping them, which trades time for memory.

        Raises:
            GradientCheckpointingError: a part does not offer it.
        """
        parts: list[Any] = [self.autoencoder, self.denoiser]
        for part in parts:
            if part is None:
                continue
            if not enabled:
                part.disable_gradient_checkpointing()
                continue
            if not part._supports_gradient_checkpointing:
                raise GradientCheckpointingError(
                    f"{type(part).__name__} offers no gradient checkpointing; set gradient_checkpointing to false"
                )
            part.enable_gradient_checkpointing()

    def fingerprint(self) -> str:
        """sha256 over the backbone's tensors.

        Raises:
            AdaptedBackboneError: adaptors are attached, which rename modules and add tensors.
        """
        self.require_without_adaptors(
            "take its fingerprint before attaching any, or use "
            "fingerprint_tensors(retina_adapt.adaptors.backbone_tensors(backbone))"
        )
        return fingerprint_tensors(self.state_dict())

    def require_without_adaptors(self, remedy: str) -> None:
        """Raise AdaptedBackboneError, with the remedy, if adaptors are attached, merged or not."""
        if any(hasattr(module, "base_layer") for module in self.modules()):
            raise AdaptedBackboneError(f"adaptors are attached to this backbone: {remedy}")

    def _to_latents(self, images: Tensor) -> Tensor:
        latents = self.autoencoder.to_latents(self._to_autoencoder(images))
        rows, _, height, width = images.shape
        stated = (rows, self.latent_channels, height // self.stride, width // self.stride)
        # Neither mismatch would raise by itself: frames would change their size, and channels be broadcast.
        if latents.shape != stated:
            raise LatentShapeError(
                f"{type(self.autoencoder).__name__}: made latents {tuple(latents.shape)} from images "
                f"{tuple(images.shape)}, but stride {self.autoencoder.stride}, latent_channels {self.latent_channels} "
                f"and space_to_depth {self.settings.space_to_depth} imply {stated}; correct these"
            )
        return latents

    def _to_autoencoder(self, images: Tensor) -> Tensor:
        if images.shape[1] != self.settings.image_channels:
            raise ImageChannelsError(
                f"the images have {images.shape[1]} channels, but this backbone was made for "
                f"{self.settings.image_channels}: give it images of that kind, or train a backbone with "
                f"backbone.image_channels {images.shape[1]}"
            )
        if any(side % self.stride for side in images.shape[-2:]):
            # Most autoencoders would drop a border and return smaller images.
            raise ImageSidesError(
                f"the images are {images.shape[-2]} x {images.shape[-1]} px; this backbone needs sides that are "
                f"multiples of {self.stride}: crop or resize them"
            )
        centered = images * 2 - 1
        if self.settings.space_to_depth > 1:
            return F.pixel_unshuffle(centered, self.settings.space_to_depth)
        return centered

    def _from_autoencoder(self, decoded: Tensor) -> Tensor:
        if self.settings.space_to_depth > 1:
            decoded = F.pixel_shuffle(decoded, self.settings.space_to_depth)
        # In the weights' precision, since pictures are compared and subtracted: the shift to [0, 1] must not round a
        # second time what autocast computed in half precision.
        return decoded.to(self.latent_mean.dtype) * 0.5 + 0.5
