"""The PEFT tuner: which modules get a residual adaptor layer, and how they get rid of it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from peft.tuners.tuners_utils import BaseTuner
from torch import nn

from retina_adapt.adaptors.residual.config import ResidualAdaptorConfig
from retina_adapt.adaptors.residual.layer import MergeError, MixedBatchError, ResidualAdaptorLayer
from retina_adapt.backbones import select_hook_points


class ResidualAdaptorTuner(BaseTuner):
    """Attaches residual adaptors to the hook points of a `ReconstructionBackbone`."""

    prefix = "residual_adaptor"
    tuner_layer_cls = ResidualAdaptorLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 - PEFT reads it from the class

    def _prepare_adapter_config(self, peft_config: ResidualAdaptorConfig, model_config: dict) -> ResidualAdaptorConfig:
        points = select_hook_points(self.model.hook_points(), peft_config.hook_groups)
        peft_config.target_modules = sorted(point.name for point in points)
        return peft_config

    def _create_and_replace(
        self,
        peft_config: ResidualAdaptorConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        if isinstance(target, ResidualAdaptorLayer):
            target.update_layer(adapter_name, peft_config)
            return
        channels = {point.name: point.channels for point in self.model.hook_points()}
        layer = ResidualAdaptorLayer(target, channels[current_key])
        layer.set_adapter(self.active_adapters)
        layer.update_layer(adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        if isinstance(new_module, ResidualAdaptorLayer):
            super()._replace_module(parent, child_name, new_module, child)
        else:
            # Unloading. PEFT would copy `child.weight`, which a block of several layers does not have.
            setattr(parent, child_name, new_module)

    def _enable_peft_forward_hooks(self, *arguments: Any, **keywords: Any) -> AbstractContextManager[None]:
        # PEFT drops `adapter_names` before the layers see it.
        if "adapter_names" in keywords:
            raise MixedBatchError
        return nullcontext()

    def _check_merge_allowed(self) -> None:
        raise MergeError(
            "a residual adaptor holds a non-linear branch and cannot be merged into the backbone's weights; "
            "keep it attached, or call `unload` to detach it"
        )
