"""The PEFT tuner: which modules get a layer with branches, and how the layer is removed again."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from peft.tuners.tuners_utils import BaseTuner
from torch import nn

from retina_adapt.adaptors.hook_point.config import HookPointAdaptorConfig
from retina_adapt.adaptors.hook_point.layer import HookPointLayer
from retina_adapt.adaptors.layers import unwrap_empty_layers
from retina_adapt.adaptors.merging import MergeError
from retina_adapt.adaptors.mixed_batch import MixedBatchError
from retina_adapt.backbones import select_hook_points


class HookPointTuner(BaseTuner):
    """Attaches branches to the hook points of a `ReconstructionBackbone`.

    Each kind is a subclass that sets `tuner_layer_cls`, and `prefix` to the name of that layer's branches.
    """

    tuner_layer_cls: type[HookPointLayer]
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 - PEFT reads it from the class

    def delete_adapter(self, adapter_name: str) -> None:
        """As in PEFT, but all layers activate the same successor, and no empty layer stays on a hook point."""
        remaining = [name for name in self.peft_config if name != adapter_name]
        if adapter_name in self.active_adapters and remaining:
            self.set_adapter([name for name in self.active_adapters if name != adapter_name] or remaining[:1])
        super().delete_adapter(adapter_name)
        unwrap_empty_layers(self.model)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        # PEFT would look for the name only before the key's last part, and so leave it in its files.
        return key.replace(f".{cls.prefix}.{adapter_name}.", f".{cls.prefix}.", 1)

    def _prepare_adapter_config(
        self, peft_config: HookPointAdaptorConfig, model_config: dict[str, Any]
    ) -> HookPointAdaptorConfig:
        points = select_hook_points(self.model.hook_points(), peft_config.hook_groups)
        peft_config.target_modules = sorted(point.name for point in points)
        return peft_config

    def _create_and_replace(  # type: ignore[override]  # PEFT gives a tuner only configurations of its own kind
        self,
        peft_config: HookPointAdaptorConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        if isinstance(target, HookPointLayer):
            target.update_layer(adapter_name, peft_config)
            return
        points = {point.name: point for point in self.model.hook_points()}
        layer = self.tuner_layer_cls(target, points[current_key])
        layer.set_adapter(self.active_adapters)
        layer.update_layer(adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        if isinstance(new_module, HookPointLayer):
            super()._replace_module(parent, child_name, new_module, child)
        else:
            # When unloading, PEFT would copy `child.weight`, which a block of several layers does not have.
            setattr(parent, child_name, new_module)

    def _enable_peft_forward_hooks(self, *arguments: Any, **keywords: Any) -> AbstractContextManager[None]:
        # PEFT would drop `adapter_names` before the layers see it.
        if "adapter_names" in keywords:
            raise MixedBatchError.instead_of_adapter_names()
        return nullcontext()

    def _check_merge_allowed(self) -> None:
        raise MergeError.of_non_linear_branch()
