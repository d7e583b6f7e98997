"""Builders of this package's latent diffusion backbones: every autoencoder with every denoiser."""

from collections.abc import Callable
from itertools import product

from diffusers import DDIMScheduler

from retina_adapt.backbones.autoencoders import IsotropicAutoencoder, KLAutoencoder, VQAutoencoder
from retina_adapt.backbones.denoisers import TransformerDenoiser, UNetDenoiser
from retina_adapt.backbones.parts import LatentAutoencoder, LatentDenoiser
from retina_adapt.backbones.reconstruction_backbone import BackboneSettings, ReconstructionBackbone
from retina_adapt.backbones.registry import register_backbone
from retina_adapt.backbones.shape import BackboneShape, BackboneShapeError, NoiseSchedule

AutoencoderBuilder = Callable[[BackboneShape], LatentAutoencoder]
DenoiserBuilder = Callable[[BackboneShape, LatentAutoencoder], LatentDenoiser]


def build_kl_autoencoder(shape: BackboneShape) -> KLAutoencoder:
    """Build a KL autoencoder with the channels, blocks, latent channels and groups of `shape.autoencoder`."""
    return KLAutoencoder(**_levels(shape), norm_num_groups=shape.autoencoder.normalization_groups, scaling_factor=1.0)


def build_vq_autoencoder(shape: BackboneShape) -> VQAutoencoder:
    """Build a VQ autoencoder from the same settings as `build_kl_autoencoder`, and `codebook_size`."""
    return VQAutoencoder(
        **_levels(shape),
        norm_num_groups=shape.autoencoder.normalization_groups,
        num_vq_embeddings=shape.autoencoder.codebook_size,
        scaling_factor=1.0,
    )


def build_isotropic_autoencoder(shape: BackboneShape) -> IsotropicAutoencoder:
    """Build an isotropic autoencoder with one level of channels and patches of side `space_to_depth`."""
    autoencoder = shape.autoencoder
    width = _one_level(autoencoder.channels, "autoencoder.channels")
    if autoencoder.latent_channels > width:
        raise BackboneShapeError(
            f"backbone.autoencoder: {autoencoder.latent_channels} latent_channels from {width} channels; an isotropic "
            "autoencoder needs at least as many channels"
        )
    return IsotropicAutoencoder(
        in_channels=_input_channels(shape),
        width=width,
        blocks=autoencoder.blocks_per_level,
        latent_channels=autoencoder.latent_channels,
        posterior_deviation=autoencoder.posterior_deviation,
    )


def build_unet_denoiser(shape: BackboneShape, autoencoder: LatentAutoencoder) -> UNetDenoiser:
    """Build a UNet for the latents of `autoencoder`: channels, blocks, attention and groups from `shape.denoiser`."""
    denoiser = shape.denoiser
    if len(denoiser.attention) != len(denoiser.channels):
        raise BackboneShapeError(
            f"backbone.denoiser: attention has {len(denoiser.attention)} entries, channels {len(denoiser.channels)}; "
            "give one for each level"
        )
    _require_groups(denoiser.channels, denoiser.normalization_groups, "denoiser")
    # diffusers' middle block, at the last level, always has attention.
    for channels, has_attention in zip(denoiser.channels, [*denoiser.attention[:-1], True], strict=True):
        if has_attention:
            _require_heads(channels, denoiser.attention_head_channels)
    return UNetDenoiser(
        sample_size=_latent_size(shape, autoencoder, divisor=2 ** (len(denoiser.channels) - 1)),
        in_channels=2 * autoencoder.latent_channels,
        out_channels=autoencoder.latent_channels,
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in denoiser.attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(denoiser.attention)),
        block_out_channels=tuple(denoiser.channels),
        layers_per_block=denoiser.blocks_per_level,
        attention_head_dim=denoiser.attention_head_channels,
        norm_num_groups=denoiser.normalization_groups,
    )


def build_transformer_denoiser(shape: BackboneShape, autoencoder: LatentAutoencoder) -> TransformerDenoiser:
    """Build a transformer of `blocks_per_level` blocks on patches, of side `patch_size`, of `autoencoder`'s latents."""
    denoiser = shape.denoiser
    width = _one_level(denoiser.channels, "denoiser.channels")
    _require_heads(width, denoiser.attention_head_channels)
    if denoiser.blocks_per_level < 3:
        raise BackboneShapeError(
            f"backbone.denoiser: blocks_per_level is {denoiser.blocks_per_level}; a transformer needs at least 3, one "
            "for each of its hook groups"
        )
    return TransformerDenoiser(
        num_attention_heads=width // denoiser.attention_head_channels,
        attention_head_dim=denoiser.attention_head_channels,
        in_channels=2 * autoencoder.latent_channels,
        out_channels=autoencoder.latent_channels,
        num_layers=denoiser.blocks_per_level,
        sample_size=_latent_size(shape, autoencoder, divisor=denoiser.patch_size),
        patch_size=denoiser.patch_size,
        num_embeds_ada_norm=1,
    )


def build_scheduler(schedule: NoiseSchedule) -> DDIMScheduler:
    """Build the noise schedule of training, which is also the default sampler (DDIM, Song et al. 2021)."""
    return DDIMScheduler(
        num_train_timesteps=schedule.training_steps,
        beta_start=schedule.beta_start,
        beta_end=schedule.beta_end,
        beta_schedule=schedule.beta_schedule,
        prediction_type=schedule.prediction_type,
        rescale_betas_zero_snr=schedule.zero_terminal_snr,
        timestep_spacing="trailing",
        clip_sample=False,
    )


AUTOENCODERS: dict[str, AutoencoderBuilder] = {
    "kl": build_kl_autoencoder,
    "vq": build_vq_autoencoder,
    "isotropic": build_isotropic_autoencoder,
}
DENOISERS: dict[str, DenoiserBuilder] = {"unet": build_unet_denoiser, "transformer": build_transformer_denoiser}


def latent_diffusion_builder(
    build_autoencoder: AutoencoderBuilder, build_denoiser: DenoiserBuilder
) -> Callable[[BackboneShape], ReconstructionBackbone]:
    """Make the builder of a latent diffusion backbone from the builders of its parts.

    Its backbones start untrained, and it refuses a shape with `pretrained`, which this package's parts do not read.
    Parts that read it need a builder of their own; docs/backbones.md shows what it must return.
    """

    def build(shape: BackboneShape) -> ReconstructionBackbone:
        shape.require_untrained()
        autoencoder = build_autoencoder(shape)
        denoiser = build_denoiser(shape, autoencoder)
        if shape.noise_schedule.predicts_change:
            denoiser.start_at_zero()
        return ReconstructionBackbone(
            autoencoder, denoiser, build_scheduler(shape.noise_schedule), backbone_settings(shape)
        )

    return build


def backbone_settings(shape: BackboneShape) -> BackboneSettings:
    """The settings that a shape asks for."""
    return BackboneSettings(
        image_size=shape.image_size,
        image_channels=shape.image_channels,
        space_to_depth=shape.autoencoder.space_to_depth,
        predicts_change=shape.noise_schedule.predicts_change,
    )


for (_autoencoder, _build_autoencoder), (_denoiser, _build_denoiser) in product(
    AUTOENCODERS.items(), DENOISERS.items()
):
    register_backbone(f"{_autoencoder}-{_denoiser}")(latent_diffusion_builder(_build_autoencoder, _build_denoiser))


def _input_channels(shape: BackboneShape) -> int:
    return shape.image_channels * shape.autoencoder.space_to_depth**2


def _levels(shape: BackboneShape) -> dict[str, object]:
    """Options that diffusers' autoencoders have in common."""
    autoencoder, levels = shape.autoencoder, len(shape.autoencoder.channels)
    _require_groups(autoencoder.channels, autoencoder.normalization_groups, "autoencoder")
    return {
        "in_channels": _input_channels(shape),
        "out_channels": _input_channels(shape),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": tuple(autoencoder.channels),
        "layers_per_block": autoencoder.blocks_per_level,
        "latent_channels": autoencoder.latent_channels,
        "sample_size": shape.image_size // autoencoder.space_to_depth,
        "mid_block_add_attention": False,
    }


def _latent_size(shape: BackboneShape, autoencoder: LatentAutoencoder, divisor: int) -> int:
    """The side of the training frames' latents, which the denoiser divides further by `divisor`."""
    stride = shape.autoencoder.space_to_depth * autoencoder.stride
    if shape.image_size % (stride * divisor):
        raise BackboneShapeError(
            f"backbone.image_size is {shape.image_size}; this autoencoder and denoiser need a multiple of "
            f"{stride * divisor}"
        )
    return shape.image_size // stride


def _require_groups(channels: list[int], groups: int, part: str) -> None:
    if any(count % groups for count in channels):
        raise BackboneShapeError(
            f"backbone.{part}: normalization_groups is {groups}, which does not divide all of its channels {channels}"
        )


def _require_heads(channels: int, head_channels: int) -> None:
    if channels % head_channels:
        raise BackboneShapeError(
            f"backbone.denoiser: attention_head_channels is {head_channels}, which does not divide the {channels} "
            "channels of a level with attention (the last level of a UNet always has it)"
        )


def _one_level(channels: list[int], key: str) -> int:
    if len(channels) != 1:
        raise BackboneShapeError(f"backbone.{key} is {channels}; this kind of {key.split('.')[0]} has one level")
    return channels[0]
