"""Backbone shapes by name: how a recipe builds an untrained backbone from its configuration."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DModel
from torch import nn

from retina_adapt.backbones.reconstruction_backbone import BackboneSettings, ReconstructionBackbone
from retina_adapt.errors import RetinaAdaptError


class UnknownBackboneError(RetinaAdaptError):
    """No backbone shape is registered under this name."""


class NoiseScheduleError(RetinaAdaptError):
    """Settings of the diffusion process that contradict each other."""


@dataclass
class AutoencoderShape:
    """The autoencoder's size.

    Args:
        channels: channels of each level, from fine to coarse; each further level halves the resolution.
        blocks_per_level: residual blocks of each encoder level (the decoder has one more).
        latent_channels: channels of the latent.
        space_to_depth: see `BackboneSettings`.
        normalization_groups: groups of every GroupNorm; divides all of `channels`.
    """

    channels: list[int] = field(default_factory=lambda: [32, 64])
    blocks_per_level: int = 1
    latent_channels: int = 8
    space_to_depth: int = 2
    normalization_groups: int = 16


@dataclass
class DenoiserShape:
    """The denoiser's size.

    Args:
        channels: channels of each level, from fine to coarse.
        blocks_per_level: residual blocks of each level on the way down (one more on the way up).
        attention: for each level, whether it has self-attention.
        attention_head_channels: channels of one attention head.
        normalization_groups: groups of every GroupNorm; divides all of `channels`.
    """

    channels: list[int] = field(default_factory=lambda: [48, 64, 96])
    blocks_per_level: int = 1
    attention: list[bool] = field(default_factory=lambda: [False, False, False])
    attention_head_channels: int = 32
    normalization_groups: int = 16


@dataclass
class NoiseSchedule:
    """The diffusion process, as diffusers' schedulers take it.

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
        if self.predicts_change and self.prediction_type != "sample":
            raise NoiseScheduleError(
                f"predicts_change needs prediction_type sample, not {self.prediction_type}: noise and velocity are no "
                "changes of the condition"
            )
        if self.zero_terminal_snr and self.prediction_type == "epsilon":
            raise NoiseScheduleError(
                "with zero_terminal_snr, noise alone says nothing of the image: predict another type"
            )


@dataclass
class BackboneShape:
    """An untrained backbone.

    Args:
        name: a registered shape.
        image_size: side in pixels of the square training frames.
        image_channels: 3 for colour, 1 for grey.
        autoencoder: the autoencoder's size.
        denoiser: the denoiser's size.
        noise_schedule: the diffusion process.
    """

    name: str = "kl-unet"
    image_size: int = 256
    image_channels: int = 3
    autoencoder: AutoencoderShape = field(default_factory=AutoencoderShape)
    denoiser: DenoiserShape = field(default_factory=DenoiserShape)
    noise_schedule: NoiseSchedule = field(default_factory=NoiseSchedule)


BackboneBuilder = Callable[[BackboneShape], ReconstructionBackbone]
_builders: dict[str, BackboneBuilder] = {}


def register_backbone(name: str) -> Callable[[BackboneBuilder], BackboneBuilder]:
    """Decorator: make a builder known under `name`. A name can be taken once."""

    def register(builder: BackboneBuilder) -> BackboneBuilder:
        if name in _builders:
            raise ValueError(f"a backbone shape named '{name}' is registered already")
        _builders[name] = builder
        return builder

    return register


def backbone_names() -> list[str]:
    """The registered shapes."""
    return sorted(_builders)


def build_backbone(shape: BackboneShape) -> ReconstructionBackbone:
    """An untrained backbone of this shape.

    Raises:
        UnknownBackboneError: for a name that is not registered; suggests the nearest.
    """
    if shape.name not in _builders:
        nearest = difflib.get_close_matches(shape.name, _builders, n=1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known are {', '.join(backbone_names())}"
        raise UnknownBackboneError(f"no backbone shape is named '{shape.name}'; {hint}")
    return _builders[shape.name](shape)


@register_backbone("kl-unet")
def build_kl_unet(shape: BackboneShape) -> ReconstructionBackbone:
    """`AutoencoderKL` and `UNet2DModel`, the condition concatenated to the noisy latent (Rombach et al. 2022)."""
    autoencoder, denoiser = shape.autoencoder, shape.denoiser
    levels = len(autoencoder.channels)
    pixel_channels = shape.image_channels * autoencoder.space_to_depth**2
    backbone = ReconstructionBackbone(
        autoencoder=AutoencoderKL(
            in_channels=pixel_channels,
            out_channels=pixel_channels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(autoencoder.channels),
            layers_per_block=autoencoder.blocks_per_level,
            latent_channels=autoencoder.latent_channels,
            norm_num_groups=autoencoder.normalization_groups,
            sample_size=shape.image_size // autoencoder.space_to_depth,
            scaling_factor=1.0,
            shift_factor=0.0,
            mid_block_add_attention=False,
        ),
        denoiser=UNet2DModel(
            sample_size=shape.image_size // (autoencoder.space_to_depth * 2 ** (levels - 1)),
            in_channels=2 * autoencoder.latent_channels,
            out_channels=autoencoder.latent_channels,
            down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in denoiser.attention),
            up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(denoiser.attention)),
            block_out_channels=tuple(denoiser.channels),
            layers_per_block=denoiser.blocks_per_level,
            attention_head_dim=denoiser.attention_head_channels,
            norm_num_groups=denoiser.normalization_groups,
        ),
        scheduler=DDIMScheduler(
            num_train_timesteps=shape.noise_schedule.training_steps,
            beta_start=shape.noise_schedule.beta_start,
            beta_end=shape.noise_schedule.beta_end,
            beta_schedule=shape.noise_schedule.beta_schedule,
            prediction_type=shape.noise_schedule.prediction_type,
            rescale_betas_zero_snr=shape.noise_schedule.zero_terminal_snr,
            timestep_spacing="trailing",
            clip_sample=False,
        ),
        settings=BackboneSettings(
            image_size=shape.image_size,
            image_channels=shape.image_channels,
            space_to_depth=autoencoder.space_to_depth,
            predicts_change=shape.noise_schedule.predicts_change,
        ),
    )
    if backbone.settings.predicts_change:
        nn.init.zeros_(backbone.denoiser.conv_out.weight)
        nn.init.zeros_(backbone.denoiser.conv_out.bias)
    return backbone
