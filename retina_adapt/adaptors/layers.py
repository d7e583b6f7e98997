"""The layers of a backbone that hold adaptors of any kind."""

from collections.abc import Iterable, Iterator
from typing import Any

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from retina_adapt.adaptors.names import require_attached
from retina_adapt.backbones import HookPoint, ReconstructionBackbone


def backbone_of(adapted: ReconstructionBackbone | PeftModel) -> ReconstructionBackbone:
    """The backbone itself, including any adaptors in it."""
    # PEFT types it as any module.
    base: Any = adapted.get_base_model() if isinstance(adapted, PeftModel) else adapted
    return base


def tuner_layers(module: nn.Module) -> Iterator[tuple[str, BaseTunerLayer]]:
    """Yield every layer of the module that holds adaptors, preceded by its name in the module."""
    for name, layer in module.named_modules():
        if isinstance(layer, BaseTunerLayer):
            yield name, layer


def adaptor_attributes(layer: BaseTunerLayer) -> list[str]:
    """The names of the layer's attributes that hold adaptors' modules and parameters."""
    # PEFT lists DoRA's magnitudes twice.
    return list(dict.fromkeys(layer.adapter_layer_names))


def adaptors_of(layer: BaseTunerLayer) -> set[str]:
    """The names of the adaptors that this layer holds."""
    return {name for attribute in adaptor_attributes(layer) for name in getattr(layer, attribute)}


def adaptor_layers(adapted: PeftModel, name: str) -> list[tuple[str, BaseTunerLayer]]:
    """The layers that hold the adaptor `name`, with their names in the backbone, in the backbone's order.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
    """
    require_attached(adapted, name)
    return [(key, layer) for key, layer in tuner_layers(adapted.get_base_model()) if name in adaptors_of(layer)]


def hook_point_of(module_name: str, hook_points: Iterable[HookPoint]) -> HookPoint | None:
    """The hook point that this module is or lies in, or None."""
    for point in hook_points:
        if module_name == point.name or module_name.startswith(f"{point.name}."):
            return point
    return None


def unwrap_empty_layers(backbone: nn.Module) -> None:
    """Restore the backbone's own module wherever a layer no longer holds an adaptor; PEFT leaves such layers behind."""
    for name, layer in list(tuner_layers(backbone)):
        if not adaptors_of(layer):
            parent, _, child = name.rpartition(".")
            setattr(backbone.get_submodule(parent), child, layer.get_base_layer())
