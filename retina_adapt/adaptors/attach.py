"""Adaptors on a backbone: attach, choose what trains, look past them, and prove that the backbone stays frozen."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from retina_adapt.backbones import ReconstructionBackbone, fingerprint_tensors, select_hook_points
from retina_adapt.errors import RetinaAdaptError


class AdaptorNameError(RetinaAdaptError):
    """An adaptor name that is taken, unknown, or cannot be part of a tensor's name."""


class FrozenBackboneError(RetinaAdaptError):
    """A backbone tensor changed, or an optimizer holds one: a defect of a recipe."""


def attach_adaptor(backbone: ReconstructionBackbone | PeftModel, config: PeftConfig, name: str) -> PeftModel:
    """Attach an untrained adaptor; the first one wraps the backbone, further ones join it, not yet active.

    The layers are put into `backbone` itself, so that its methods run through them.

    Raises:
        AdaptorNameError: if the name is taken or holds a dot.
    """
    # A dot would split the name of a tensor, in which the adaptor's name stands.
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise AdaptorNameError(f"'{name}' cannot name an adaptor: use letters, digits, '_' and '-'")
    if isinstance(backbone, PeftModel):
        if name in backbone.peft_config:
            raise AdaptorNameError(f"an adaptor named '{name}' is attached already; choose another name or delete it")
        backbone.add_adapter(name, config)
        return backbone
    return PeftModel(backbone, config, adapter_name=name)


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
    if name not in adapted.peft_config:
        raise AdaptorNameError(f"no adaptor is named '{name}'; attached are {', '.join(adapted.peft_config)}")
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
                    found += [(f"{point.name}.{key}", value) for key, value in branches[name].named_parameters()]
    return found
