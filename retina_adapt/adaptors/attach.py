"""Adaptors on a backbone: attach them, choose what trains, bypass them, and prove that the backbone stays frozen."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from torch import Tensor, nn

from retina_adapt.adaptors.dora import start_magnitudes_in_single_precision
from retina_adapt.adaptors.hook_point.config import AdaptorConfigError, HookPointAdaptorConfig
from retina_adapt.adaptors.kinds import kind_of
from retina_adapt.adaptors.layers import adaptor_attributes, backbone_of, tuner_layers, unwrap_empty_layers
from retina_adapt.adaptors.merging import require_unmerged
from retina_adapt.adaptors.mixed_batch import MixedBatchError
from retina_adapt.adaptors.names import AdaptorNameError, require_attached, require_usable_name
from retina_adapt.adaptors.tensors import adaptor_parameters, assign_adaptor_tensors
from retina_adapt.adaptors.weight_deltas import WeightDeltaConfig, without_compiling
from retina_adapt.backbones import ReconstructionBackbone, fingerprint_tensors, select_hook_points
from retina_adapt.errors import RetinaAdaptError


class FrozenBackboneError(RetinaAdaptError):
    """A backbone tensor changed, or an optimiser holds one: a bug in a recipe."""


class AttachedBackboneError(RetinaAdaptError):
    """A bare backbone that already carries adaptors was given instead of its `PeftModel`."""


def attach_adaptor(
    backbone: ReconstructionBackbone | PeftModel, config: PeftConfig, name: str, *, without_values: bool = False
) -> PeftModel:
    """Attach an untrained adaptor: the first one wraps the backbone and is active, later ones join it inactive.

    The layers are inserted into `backbone` itself, so its own methods run through them. On an error nothing is
    attached.

    Args:
        config: a configuration of a kind in `KINDS`, for example from `AdaptorSettings.to_peft_config`; it is copied.
        without_values: create the parameters on the meta device, for a caller that will assign loaded ones.

    Raises:
        AdaptorNameError: the name is taken or cannot be used.
        AdaptorConfigError: the configuration belongs to no kind in `KINDS`, differs in kind from the adaptors already
            attached (LoRA and DoRA count as one), or does not fit the backbone.
        AttachedBackboneError: `backbone` is a bare backbone that already carries adaptors.
        HookPointError: the backbone has no hook point in a configured hook group.
        MergeError: an adaptor is merged into the backbone.
    """
    require_usable_name(name)
    if not isinstance(config, WeightDeltaConfig | HookPointAdaptorConfig):
        raise AdaptorConfigError(
            f"{type(config).__name__} has no hook groups; give a `config_class` from `KINDS`, or what "
            "`AdaptorSettings.to_peft_config` returns"
        )
    kind = kind_of(config)
    base = backbone_of(backbone)
    if isinstance(backbone, PeftModel):
        if name in backbone.peft_config:
            raise AdaptorNameError(f"an adaptor named '{name}' is attached already; choose another name or delete it")
        if config.peft_type != backbone.peft_type:
            attached = ", ".join(
                f"'{other}' ({kind_of(backbone.peft_config[other])})" for other in backbone.peft_config
            )
            raise AdaptorConfigError(
                f"'{name}' is of the kind {kind} and cannot join {attached}; detach these first, or use "
                "a second backbone"
            )
        require_unmerged(base)
    elif any(True for _ in tuner_layers(backbone)):
        raise AttachedBackboneError(
            "this backbone already has adaptors; give the PeftModel that was returned when the first one was attached"
        )
    # PEFT writes into the configuration.
    config = copy.deepcopy(config)
    if isinstance(config, WeightDeltaConfig):
        config.aim_at(base)
    else:
        select_hook_points(base.hook_points(), config.hook_groups)
    # Some of PEFT's kinds draw random values even for the meta device.
    with torch.random.fork_rng(devices=[], enabled=without_values), without_compiling():
        try:
            if isinstance(backbone, PeftModel):
                adapted = backbone
                adapted.add_adapter(name, config, low_cpu_mem_usage=without_values)
            else:
                adapted = PeftModel(backbone, config, adapter_name=name, low_cpu_mem_usage=without_values)
                adapted.register_forward_pre_hook(_refuse_adapter_names, with_kwargs=True)
        except BaseException:
            for _, layer in tuner_layers(base):
                layer.delete_adapter(name)
            unwrap_empty_layers(base)
            raise
    if kind == "dora" and not without_values:
        start_magnitudes_in_single_precision(adapted, name)
    return adapted


def _refuse_adapter_names(adapted: PeftModel, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    """Refuse `adapter_names`: most of PEFT's kinds ignore them silently and run every row under the active adaptor."""
    if "adapter_names" in keywords:
        raise MixedBatchError.instead_of_adapter_names()


def detach_adaptor(adapted: PeftModel, name: str) -> None:
    """Detach the adaptor `name`; a hook point that loses its last adaptor is the backbone's own module again.

    If it was the only active adaptor, the first remaining one becomes active; otherwise the other active ones stay so.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        MergeError: an adaptor is merged into the backbone.
    """
    require_attached(adapted, name)
    require_unmerged(adapted.get_base_model())
    remaining = [other for other in adapted.peft_config if other != name]
    if not remaining:
        adapted.unload()
        return
    if name in adapted.active_adapters:
        # PEFT would let each layer choose a successor among the adaptors that this layer happens to hold.
        successors = [other for other in adapted.active_adapters if other != name] or remaining[:1]
        # PeftModel's own method allows only one active adaptor; its attribute names the one whose settings it reports.
        adapted.active_adapter = successors[0]
        tuner: Any = adapted.base_model
        tuner.set_adapter(successors)
    adapted.delete_adapter(name)
    unwrap_empty_layers(adapted.get_base_model())


def assign_or_detach(adapted: PeftModel, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Assign values to a newly attached adaptor, or detach it if that fails, as on a full accelerator.

    Raises:
        AdaptorNameError, AdaptorTensorError: as `assign_adaptor_tensors`.
    """
    try:
        assign_adaptor_tensors(adapted, name, tensors)
    except BaseException:
        detach_adaptor(adapted, name)
        raise


def train_only(adapted: PeftModel, name: str, groups: Iterable[str]) -> list[nn.Parameter]:
    """Make only the adaptor's parameters in these hook groups require gradients, and return them."""
    adapted.requires_grad_(False)
    chosen = adaptor_parameters(adapted, name, groups)
    for parameter in chosen:
        parameter.requires_grad_(True)
    return chosen


def group_is_frozen(backbone: ReconstructionBackbone, group: str) -> bool:
    """Whether a hook group is as before adaptation and stays so: no adaptor sits in it and nothing in it trains."""
    modules = [backbone.get_submodule(point.name) for point in backbone.hook_points() if point.group == group]
    return not any(
        any(True for _ in tuner_layers(module)) or any(parameter.requires_grad for parameter in module.parameters())
        for module in modules
    )


@contextmanager
def adaptors_bypassed(module: nn.Module) -> Iterator[None]:
    """Run the frozen backbone as if no adaptor were attached.

    PEFT's `disable_adapter` also resets which parameters require gradients, which must not happen inside a training
    step; this changes only the path of the forward pass.

    Raises:
        MergeError: an adaptor is merged into the backbone; PEFT would unmerge it with rounding errors.
    """
    require_unmerged(module)
    layers = [layer for _, layer in tuner_layers(module)]
    before = [layer._disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer, disabled in zip(layers, before, strict=True):
            layer._disable_adapters = disabled


def backbone_tensors(backbone: nn.Module) -> dict[str, Tensor]:
    """The backbone's own tensors under their original names, whatever adaptors are attached.

    Raises:
        MergeError: an adaptor is merged into them.
    """
    require_unmerged(backbone)
    adaptor_prefixes = tuple(
        f"{layer_name}.{attribute}."
        for layer_name, layer in tuner_layers(backbone)
        for attribute in adaptor_attributes(layer)
    )
    return {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in backbone.state_dict().items()
        if not (adaptor_prefixes and name.startswith(adaptor_prefixes))
    }


class FrozenBackboneGuard:
    """A guard that takes a backbone's fingerprint, with or without adaptors attached, and compares it later."""

    def __init__(self, backbone: ReconstructionBackbone) -> None:
        self.backbone = backbone
        self.fingerprint = fingerprint_tensors(backbone_tensors(backbone))

    def check(self) -> None:
        """Raise FrozenBackboneError if any backbone tensor differs by a bit."""
        if fingerprint_tensors(backbone_tensors(self.backbone)) != self.fingerprint:
            raise FrozenBackboneError("the backbone's tensors changed during adaptation; they must stay frozen")

    def check_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Raise FrozenBackboneError if the optimiser holds anything but adaptor parameters."""
        adaptor_parameter_ids = {
            id(parameter)
            for _, layer in tuner_layers(self.backbone)
            for attribute in adaptor_attributes(layer)
            for parameter in getattr(layer, attribute).parameters()
        }
        foreign = [
            parameter
            for group in optimizer.param_groups
            for parameter in group["params"]
            if id(parameter) not in adaptor_parameter_ids
        ]
        if foreign:
            raise FrozenBackboneError(
                f"the optimiser holds {len(foreign)} tensors that belong to no adaptor; the backbone must stay frozen"
            )
