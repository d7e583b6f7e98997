"""Adaptors on a backbone: attach, choose what trains, look past them, and prove that the backbone stays frozen."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from retina_adapt.backbones import HookPoint, ReconstructionBackbone, fingerprint_tensors, select_hook_points
from retina_adapt.errors import RetinaAdaptError


class AdaptorNameError(RetinaAdaptError):
    """An adaptor name that is taken, unknown, or cannot be part of a tensor's name."""


class FrozenBackboneError(RetinaAdaptError):
    """A backbone tensor changed, or an optimizer holds one: a defect of a recipe."""


class AttachedBackboneError(RetinaAdaptError):
    """A backbone that has adaptors already was given where its `PeftModel` is needed."""


def attach_adaptor(
    backbone: ReconstructionBackbone | PeftModel, config: PeftConfig, name: str, *, without_values: bool = False
) -> PeftModel:
    """Attach an untrained adaptor; the first one wraps the backbone, further ones join it, not yet active.

    The layers are put into `backbone` itself, so that its methods run through them.

    Args:
        without_values: create the parameters on the meta device, for a caller that assigns loaded ones.

    Raises:
        AdaptorNameError: if the name is taken or cannot be used.
        AttachedBackboneError: if a bare backbone carries adaptors already.
        HookPointError: if the backbone has none of a configured hook group.
    """
    # A dot would split the name of a tensor, in which the adaptor's name stands.
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise AdaptorNameError(f"'{name}' cannot name an adaptor: use letters, digits, '_' and '-'")
    # Layers keep their adaptors in a ModuleDict, whose own attributes ('keys', 'half', ...) cannot be entries.
    if hasattr(nn.ModuleDict, name):
        raise AdaptorNameError(f"'{name}' cannot name an adaptor: PyTorch's modules use this word; choose another name")
    if isinstance(backbone, PeftModel):
        if name in backbone.peft_config:
            raise AdaptorNameError(f"an adaptor named '{name}' is attached already; choose another name or delete it")
    elif any(isinstance(module, BaseTunerLayer) for module in backbone.modules()):
        raise AttachedBackboneError(
            "this backbone has adaptors already; give the PeftModel that attaching the first one returned"
        )
    base = backbone.get_base_model() if isinstance(backbone, PeftModel) else backbone
    # PEFT would find out halfway, with its own bookkeeping left on the backbone.
    select_hook_points(base.hook_points(), config.hook_groups)
    if isinstance(backbone, PeftModel):
        backbone.add_adapter(name, config, low_cpu_mem_usage=without_values)
        return backbone
    return PeftModel(backbone, config, adapter_name=name, low_cpu_mem_usage=without_values)


def detach_adaptor(adapted: PeftModel, name: str) -> None:
    """Take the adaptor `name` off; without its last adaptor, a hook point is the backbone's own module again.

    If it was the active one, the first of the others becomes active.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
    """
    _require_attached(adapted, name)
    remaining = [other for other in adapted.peft_config if other != name]
    if not remaining:
        adapted.unload()
        return
    if name in adapted.active_adapters:
        # Left to itself, PEFT lets each layer choose a successor among the adaptors that this layer happens to hold.
        adapted.set_adapter(remaining[0])
    adapted.delete_adapter(name)
    backbone = adapted.get_base_model()
    for point in backbone.hook_points():
        layer = backbone.get_submodule(point.name)
        if isinstance(layer, BaseTunerLayer) and not any(getattr(layer, kind) for kind in layer.adapter_layer_names):
            parent, _, child = point.name.rpartition(".")
            setattr(backbone.get_submodule(parent), child, layer.get_base_layer())


def adaptor_parameters(adapted: PeftModel, name: str, groups: Iterable[str] | None = None) -> list[nn.Parameter]:
    """The parameters of the adaptor `name`, of all hook groups or of the given ones."""
    return [parameter for _, parameter in named_adaptor_parameters(adapted, name, groups)]


def train_only(adapted: PeftModel, name: str, groups: Iterable[str]) -> list[nn.Parameter]:
    """Let the adaptor's parameters in these hook groups require gradients, and nothing else; return them."""
    adapted.requires_grad_(False)
    chosen = adaptor_parameters(adapted, name, groups)
    for parameter in chosen:
        parameter.requires_grad_(True)
    return chosen


@contextmanager
def adaptors_bypassed(module: nn.Module) -> Iterator[None]:
    """Run the frozen backbone as if no adaptor were attached.

    PEFT's `disable_adapter` also resets which parameters require gradients, which must not happen inside a training
    step; this only changes the path of the forward pass.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, BaseTunerLayer)]
    before = [layer._disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer, disabled in zip(layers, before, strict=True):
            layer._disable_adapters = disabled


def backbone_tensors(backbone: nn.Module) -> dict[str, Tensor]:
    """The backbone's own tensors under their own names, whatever adaptors are attached."""
    adaptor_prefixes = tuple(
        f"{layer_name}.{attribute}."
        for layer_name, layer in backbone.named_modules()
        if isinstance(layer, BaseTunerLayer)
        for attribute in layer.adapter_layer_names
    )
    return {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in backbone.state_dict().items()
        if not (adaptor_prefixes and name.startswith(adaptor_prefixes))
    }


class FrozenBackboneGuard:
    """Takes the fingerprint of a backbone, with or without adaptors, and compares later."""

    def __init__(self, backbone: ReconstructionBackbone) -> None:
        self.backbone = backbone
        self.fingerprint = fingerprint_tensors(backbone_tensors(backbone))

    def check(self) -> None:
        """Raises FrozenBackboneError if any backbone tensor differs by a bit."""
        if fingerprint_tensors(backbone_tensors(self.backbone)) != self.fingerprint:
            raise FrozenBackboneError("the backbone's tensors changed during the adaptation; they must stay frozen")

    def check_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Raises FrozenBackboneError if the optimizer holds anything but adaptor parameters."""
        adaptor_parameter_ids = {
            id(parameter)
            for layer in self.backbone.modules()
            if isinstance(layer, BaseTunerLayer)
            for attribute in layer.adapter_layer_names
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
                f"the optimizer holds {len(foreign)} tensors that are no adaptor's; the backbone must stay frozen"
            )


def named_adaptor_parameters(
    adapted: PeftModel, name: str, groups: Iterable[str] | None = None
) -> list[tuple[str, nn.Parameter]]:
    """As `adaptor_parameters`, each with its name `<hook point>.<parameter>`, which holds no adaptor name."""
    return [
        (f"{point.name}.{key}", value)
        for point, branch in adaptor_branches(adapted, name, groups)
        for key, value in branch.named_parameters()
    ]


def adaptor_branches(
    adapted: PeftModel, name: str, groups: Iterable[str] | None = None
) -> list[tuple[HookPoint, nn.Module]]:
    """The networks of the adaptor `name`, each with its hook point, in the order of the backbone."""
    _require_attached(adapted, name)
    backbone = adapted.get_base_model()
    points = backbone.hook_points()
    if groups is not None:
        points = select_hook_points(points, groups)
    found = []
    for point in points:
        layer = backbone.get_submodule(point.name)
        if isinstance(layer, BaseTunerLayer):
            for attribute in layer.adapter_layer_names:
                branches = getattr(layer, attribute)
                if name in branches:
                    found.append((point, branches[name]))
    return found


def _require_attached(adapted: PeftModel, name: str) -> None:
    if name not in adapted.peft_config:
        raise AdaptorNameError(f"no adaptor is named '{name}'; attached are {', '.join(adapted.peft_config)}")
