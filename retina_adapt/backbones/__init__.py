"""Reconstruction backbones: the frozen models that adaptors are attached to."""

from retina_adapt.backbones.fingerprint import fingerprint_tensors
from retina_adapt.backbones.hook_points import (
    HOOK_GROUPS,
    HookGroup,
    HookPoint,
    HookPointError,
    select_hook_points,
)
from retina_adapt.backbones.reconstruction_backbone import (
    BackboneSettings,
    MissingDenoiserError,
    ReconstructionBackbone,
)
from retina_adapt.backbones.registry import (
    AutoencoderShape,
    BackboneShape,
    DenoiserShape,
    NoiseSchedule,
    NoiseScheduleError,
    UnknownBackboneError,
    backbone_names,
    build_backbone,
    register_backbone,
)
from retina_adapt.backbones.sampling import sample_latents, seeded_noise
from retina_adapt.backbones.storage import BackboneFileError, load_backbone, save_backbone

__all__ = [
    "HOOK_GROUPS",
    "AutoencoderShape",
    "BackboneFileError",
    "BackboneSettings",
    "BackboneShape",
    "DenoiserShape",
    "HookGroup",
    "HookPoint",
    "HookPointError",
    "MissingDenoiserError",
    "NoiseSchedule",
    "NoiseScheduleError",
    "ReconstructionBackbone",
    "UnknownBackboneError",
    "backbone_names",
    "build_backbone",
    "fingerprint_tensors",
    "load_backbone",
    "register_backbone",
    "sample_latents",
    "save_backbone",
    "seeded_noise",
    "select_hook_points",
]
