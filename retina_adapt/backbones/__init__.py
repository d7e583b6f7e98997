"""Reconstruction backbones: the frozen models that adaptors are attached to."""

from retina_adapt.backbones import nafnet, stable_diffusion  # noqa: F401 - importing them registers their backbones
from retina_adapt.backbones.autoencoders import IsotropicAutoencoder, KLAutoencoder, VQAutoencoder
from retina_adapt.backbones.builders import (
    backbone_settings,
    build_isotropic_autoencoder,
    build_kl_autoencoder,
    build_scheduler,
    build_transformer_denoiser,
    build_unet_denoiser,
    build_vq_autoencoder,
    latent_diffusion_builder,
)
from retina_adapt.backbones.denoisers import TransformerDenoiser, UNetDenoiser
from retina_adapt.backbones.fingerprint import fingerprint_tensors
from retina_adapt.backbones.hook_points import (
    HOOK_GROUPS,
    HookGroup,
    HookLayout,
    HookPoint,
    HookPointError,
    residual_block_hook_points,
    select_hook_points,
)
from retina_adapt.backbones.parts import (
    LatentAutoencoder,
    LatentDenoiser,
    SeedCountError,
    UnregisteredPartError,
    register_part,
    seeded_noise,
)
from retina_adapt.backbones.reconstruction_backbone import (
    AdaptedBackboneError,
    BackboneMismatchError,
    BackboneSettings,
    GradientCheckpointingError,
    ImageChannelsError,
    ImageSidesError,
    LatentShapeError,
    MissingDenoiserError,
    ReconstructionBackbone,
)
from retina_adapt.backbones.registry import (
    BackboneBuilderError,
    BackboneEntryPointError,
    UnknownBackboneError,
    backbone_names,
    build_backbone,
    register_backbone,
)
from retina_adapt.backbones.sampling import SamplingStepsError, require_sampling_steps, sample_latents
from retina_adapt.backbones.schedulers import SCHEDULER_CLASSES, UnknownSchedulerError
from retina_adapt.backbones.shape import (
    AutoencoderShape,
    BackboneShape,
    BackboneShapeError,
    DenoiserShape,
    NoiseSchedule,
    NoiseScheduleError,
)
from retina_adapt.backbones.storage import BackboneFileError, load_backbone, save_backbone

__all__ = [
    "HOOK_GROUPS",
    "SCHEDULER_CLASSES",
    "AdaptedBackboneError",
    "AutoencoderShape",
    "BackboneBuilderError",
    "BackboneEntryPointError",
    "BackboneFileError",
    "BackboneMismatchError",
    "BackboneSettings",
    "BackboneShape",
    "BackboneShapeError",
    "DenoiserShape",
    "GradientCheckpointingError",
    "HookGroup",
    "HookLayout",
    "HookPoint",
    "HookPointError",
    "ImageChannelsError",
    "ImageSidesError",
    "IsotropicAutoencoder",
    "KLAutoencoder",
    "LatentAutoencoder",
    "LatentDenoiser",
    "LatentShapeError",
    "MissingDenoiserError",
    "NoiseSchedule",
    "NoiseScheduleError",
    "ReconstructionBackbone",
    "SamplingStepsError",
    "SeedCountError",
    "TransformerDenoiser",
    "UNetDenoiser",
    "UnknownBackboneError",
    "UnknownSchedulerError",
    "UnregisteredPartError",
    "VQAutoencoder",
    "backbone_names",
    "backbone_settings",
    "build_backbone",
    "build_isotropic_autoencoder",
    "build_kl_autoencoder",
    "build_scheduler",
    "build_transformer_denoiser",
    "build_unet_denoiser",
    "build_vq_autoencoder",
    "fingerprint_tensors",
    "latent_diffusion_builder",
    "load_backbone",
    "register_backbone",
    "register_part",
    "require_sampling_steps",
    "residual_block_hook_points",
    "sample_latents",
    "save_backbone",
    "seeded_noise",
    "select_hook_points",
]
