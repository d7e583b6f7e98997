"""Enhancement adaptors: PEFT tuners over a backbone's hook points, operations on them, and their files."""

from retina_adapt.adaptors.arithmetic import AdaptorArithmeticError, interpolate_adaptors, set_adaptor_weights
from retina_adapt.adaptors.attach import (
    AttachedBackboneError,
    FrozenBackboneError,
    FrozenBackboneGuard,
    adaptors_bypassed,
    attach_adaptor,
    backbone_tensors,
    detach_adaptor,
    group_is_frozen,
    train_only,
)
from retina_adapt.adaptors.comparison import AdaptorComparison, compare_adaptors
from retina_adapt.adaptors.description import AdaptorDescription
from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.files import describe_adaptor, load_adaptor, save_adaptor
from retina_adapt.adaptors.foreign_lora import attach_foreign_lora
from retina_adapt.adaptors.hook_point.config import AdaptorConfigError, HookPointAdaptorConfig
from retina_adapt.adaptors.hook_point.layout import HookLayoutError
from retina_adapt.adaptors.hot_swap import hot_swap, hot_swap_file, start_from_file
from retina_adapt.adaptors.hub import AdaptorOrigin, HubError, Publication, fetch_adaptor, publish_adaptor
from retina_adapt.adaptors.kinds import KINDS, Kind, kind_of
from retina_adapt.adaptors.merging import MergedAdaptor, MergeError, merge_adaptor
from retina_adapt.adaptors.metadata import AdaptorMetadata, MetadataError
from retina_adapt.adaptors.mixed_batch import MixedBatchError, mixed_batch
from retina_adapt.adaptors.names import AdaptorNameError
from retina_adapt.adaptors.peft_layout import export_to_peft
from retina_adapt.adaptors.registration import AdaptorKind, register_adaptor_kind
from retina_adapt.adaptors.residual.config import ResidualAdaptorConfig
from retina_adapt.adaptors.residual.layer import ResidualAdaptorTuner
from retina_adapt.adaptors.serial.config import SerialAdaptorConfig
from retina_adapt.adaptors.serial.layer import SerialAdaptorTuner
from retina_adapt.adaptors.settings import AdaptorSettings
from retina_adapt.adaptors.single_file import export_single_file
from retina_adapt.adaptors.tensors import (
    AdaptorTensorError,
    adaptor_parameters,
    adaptor_tensors,
    assign_adaptor_tensors,
    check_adaptor_tensors,
)
from retina_adapt.adaptors.weight_deltas import (
    BOFTAdaptorConfig,
    DoraAdaptorConfig,
    IA3AdaptorConfig,
    LoHaAdaptorConfig,
    LoKrAdaptorConfig,
    LoraAdaptorConfig,
)

register_adaptor_kind(AdaptorKind.RESIDUAL, ResidualAdaptorConfig, ResidualAdaptorTuner)
register_adaptor_kind(AdaptorKind.SERIAL, SerialAdaptorConfig, SerialAdaptorTuner)

__all__ = [
    "KINDS",
    "AdaptorArithmeticError",
    "AdaptorComparison",
    "AdaptorConfigError",
    "AdaptorDescription",
    "AdaptorFileError",
    "AdaptorKind",
    "AdaptorMetadata",
    "AdaptorNameError",
    "AdaptorOrigin",
    "AdaptorSettings",
    "AdaptorTensorError",
    "AttachedBackboneError",
    "BOFTAdaptorConfig",
    "DoraAdaptorConfig",
    "FrozenBackboneError",
    "FrozenBackboneGuard",
    "HookLayoutError",
    "HookPointAdaptorConfig",
    "HubError",
    "IA3AdaptorConfig",
    "Kind",
    "LoHaAdaptorConfig",
    "LoKrAdaptorConfig",
    "LoraAdaptorConfig",
    "MergeError",
    "MergedAdaptor",
    "MetadataError",
    "MixedBatchError",
    "Publication",
    "ResidualAdaptorConfig",
    "ResidualAdaptorTuner",
    "SerialAdaptorConfig",
    "SerialAdaptorTuner",
    "adaptor_parameters",
    "adaptor_tensors",
    "adaptors_bypassed",
    "assign_adaptor_tensors",
    "attach_adaptor",
    "attach_foreign_lora",
    "backbone_tensors",
    "check_adaptor_tensors",
    "compare_adaptors",
    "describe_adaptor",
    "detach_adaptor",
    "export_single_file",
    "export_to_peft",
    "fetch_adaptor",
    "group_is_frozen",
    "hot_swap",
    "hot_swap_file",
    "interpolate_adaptors",
    "kind_of",
    "load_adaptor",
    "merge_adaptor",
    "mixed_batch",
    "publish_adaptor",
    "save_adaptor",
    "set_adaptor_weights",
    "start_from_file",
    "train_only",
]
