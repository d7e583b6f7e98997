"""Enhancement adaptors: PEFT tuners over a backbone's hook points, and their files."""

from retina_adapt.adaptors.attach import (
    AdaptorNameError,
    AttachedBackboneError,
    FrozenBackboneError,
    FrozenBackboneGuard,
    adaptor_parameters,
    adaptors_bypassed,
    attach_adaptor,
    backbone_tensors,
    detach_adaptor,
    train_only,
)
from retina_adapt.adaptors.files import (
    AdaptorDescription,
    AdaptorFileError,
    describe_adaptor,
    load_adaptor,
    save_adaptor,
)
from retina_adapt.adaptors.metadata import AdaptorMetadata, MetadataError
from retina_adapt.adaptors.registration import AdaptorKind, register_adaptor_kind
from retina_adapt.adaptors.residual.config import AdaptorConfigError, ResidualAdaptorConfig
from retina_adapt.adaptors.residual.layer import MergeError, MixedBatchError
from retina_adapt.adaptors.residual.tuner import ResidualAdaptorTuner
from retina_adapt.adaptors.settings import AdaptorSettings

register_adaptor_kind(AdaptorKind.RESIDUAL, ResidualAdaptorConfig, ResidualAdaptorTuner)

__all__ = [
    "AdaptorConfigError",
    "AdaptorDescription",
    "AdaptorFileError",
    "AdaptorKind",
    "AdaptorMetadata",
    "AdaptorNameError",
    "AdaptorSettings",
    "AttachedBackboneError",
    "FrozenBackboneError",
    "FrozenBackboneGuard",
    "MergeError",
    "MetadataError",
    "MixedBatchError",
    "ResidualAdaptorConfig",
    "ResidualAdaptorTuner",
    "adaptor_parameters",
    "adaptors_bypassed",
    "attach_adaptor",
    "backbone_tensors",
    "describe_adaptor",
    "detach_adaptor",
    "load_adaptor",
    "register_adaptor_kind",
    "save_adaptor",
    "train_only",
]
