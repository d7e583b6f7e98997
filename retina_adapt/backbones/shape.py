"""The shape of an untrained backbone, as specified in a configuration."""

from dataclasses import dataclass, field

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean

_SCHEDULE_CHOICES = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "prediction_type": ("epsilon", "v_prediction", "sample"),
}


class BackboneShapeError(RetinaAdaptError):
    """A shape that no backbone, or at least not the named one, can have."""


class NoiseScheduleError(RetinaAdaptError):
    """Settings of the diffusion process that contradict each other."""


@dataclass
class AutoencoderShape:
    """The autoencoder's size.

    Args:
        channels: channels of each level, from fine to coarse; each further level halves the resolution. An isotropic
            autoencoder has one level.
        blocks_per_level: residual blocks in each encoder level (the decoder of `kl` and `vq` has one more).
        latent_channels: channels of the latent; for `isotropic`, no more than its `channels`.
        space_to_depth: see `BackboneSettings`.
        normalization_groups: for `kl` and `vq`: groups of every GroupNorm; must divide all of `channels`.
        codebook_size: for `vq`: number of codes.
        posterior_deviation: for `isotropic`: standard deviation of the noise on the latents in training.
    """

    channels: list[int] = field(default_factory=lambda: [32, 64])
    blocks_per_level: int = 1
    latent_channels: int = 8
    space_to_depth: int = 2
    normalization_groups: int = 16
    codebook_size: int = 8192
    posterior_deviation: float = 0.03

    def __post_init__(self) -> None:
        counts = ("blocks_per_level", "latent_channels", "space_to_depth", "normalization_groups", "codebook_size")
        _require_positive(self, "autoencoder", counts)


@dataclass
class DenoiserShape:
    """The denoiser's size.

    Args:
        channels: channels of each level, from fine to coarse; a transformer has one level.
        blocks_per_level: residual blocks in each level on the way down (one more on the way up); for a transformer, its
            depth, 3 or more.
        attention: for each level of a UNet, whether it has self-attention.
        attention_head_channels: channels of one attention head; must divide the channels of each level with attention,
            and of a UNet's last level, which always has it.
        normalization_groups: groups of every GroupNorm of a UNet; must divide all of `channels`.
        patch_size: side of a transformer's patches, in latent pixels.
    """

    channels: list[int] = field(default_factory=lambda: [48, 64, 96])
    blocks_per_level: int = 1
    attention: list[bool] = field(default_factory=lambda: [False, False, False])
    attention_head_channels: int = 32
    normalization_groups: int = 16
    patch_size: int = 2

    def __post_init__(self) -> None:
        counts = ("blocks_per_level", "attention_head_channels", "normalization_groups", "patch_size")
        _require_positive(self, "denoiser", counts)


@dataclass
class NoiseSchedule:
    """The diffusion process, in the terms of diffusers' schedulers.

    Args:
        training_steps: number of noise levels.
        beta_start: variance of the first step.
        beta_end: variance of the last step.
        beta_schedule: how the variance grows: linear, scaled_linear or squaredcos_cap_v2.
        prediction_type: what the denoiser predicts: epsilon, v_prediction or sample.
        zero_terminal_snr: rescale the betas so that the last level is pure noise (Lin et al. 2024, "Common
            diffusion noise schedules and sample steps are flawed"); needs a prediction type other than epsilon.
        predicts_change: see `BackboneSettings`; needs the prediction type sample.
    """

    training_steps: int = 1000
    beta_start: float = 0.0015
    beta_end: float = 0.0155
    beta_schedule: str = "linear"
    prediction_type: str = "v_prediction"
    zero_terminal_snr: bool = True
    predicts_change: bool = False

    def __post_init__(self) -> None:
        if self.training_steps < 1:
            raise NoiseScheduleError(f"training_steps is {self.training_steps}; it must be at least 1")
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise NoiseScheduleError(
                f"beta_start is {self.beta_start} and beta_end {self.beta_end}; they are shares of noise and must rise "
                "from above 0 to below 1"
            )
        for name, choices in _SCHEDULE_CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise NoiseScheduleError(
                    f"{name} is '{value}'; use {' or '.join(choices)}{did_you_mean(value, choices)}"
                )
        if self.predicts_change:
            require_prediction_of_change(self.prediction_type)
        if self.zero_terminal_snr and self.training_steps == 1:
            raise NoiseScheduleError(
                "training_steps is 1, but zero_terminal_snr rescales the levels between the first and the last; give "
                "at least 2, or set zero_terminal_snr to false"
            )
        if self.zero_terminal_snr and self.prediction_type == "epsilon":
            raise NoiseScheduleError(
                "prediction_type is epsilon, but with zero_terminal_snr the last level is pure noise, which says "
                "nothing about the image; use v_prediction or sample"
            )


@dataclass
class BackboneShape:
    """An untrained backbone.

    Args:
        name: a registered backbone; docs/backbones.md lists them.
        image_size: side in pixels of the square training frames.
        image_channels: 3 for colour, 1 for grey, any number for other modalities.
        autoencoder: the autoencoder's size.
        denoiser: the denoiser's size.
        noise_schedule: the diffusion process.
        pretrained: for `stable-diffusion`: folder of the pretrained model to start from.
    """

    name: str = "kl-unet"
    image_size: int = 256
    image_channels: int = 3
    autoencoder: AutoencoderShape = field(default_factory=AutoencoderShape)
    denoiser: DenoiserShape = field(default_factory=DenoiserShape)
    noise_schedule: NoiseSchedule = field(default_factory=NoiseSchedule)
    pretrained: str | None = None

    def __post_init__(self) -> None:
        for name in ("image_size", "image_channels"):
            if getattr(self, name) < 1:
                raise BackboneShapeError(f"backbone.{name} is {getattr(self, name)}; it must be at least 1")

    def require_untrained(self) -> None:
        """Raise BackboneShapeError if a pretrained model is named, which this backbone would not read."""
        if self.pretrained is not None:
            raise BackboneShapeError(
                f"backbone.pretrained is {self.pretrained}, but '{self.name}' starts untrained; set backbone.name to "
                "stable-diffusion, or leave pretrained out"
            )


def require_prediction_of_change(prediction_type: str) -> None:
    """Raise NoiseScheduleError unless a denoiser with this prediction type can predict the change to its condition."""
    if prediction_type != "sample":
        raise NoiseScheduleError(
            f"predicts_change needs prediction_type sample, not {prediction_type}: noise and velocity are not changes "
            "to the condition"
        )


def _require_positive(part: AutoencoderShape | DenoiserShape, name: str, counts: tuple[str, ...]) -> None:
    if not part.channels or min(part.channels) < 1:
        raise BackboneShapeError(f"backbone.{name}: channels is {part.channels}; give one positive number per level")
    for count in counts:
        if getattr(part, count) < 1:
            raise BackboneShapeError(f"backbone.{name}: {count} is {getattr(part, count)}; it must be at least 1")
