"""The PEFT layer that wraps one hook point and adds the active adaptors' branches to its output."""

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from retina_adapt.adaptors.residual.branch import ResidualBranch
from retina_adapt.adaptors.residual.config import ResidualAdaptorConfig
from retina_adapt.errors import RetinaAdaptError


class MergeError(RetinaAdaptError):
    """This kind of adaptor cannot be merged into the backbone's weights."""


class MixedBatchError(RetinaAdaptError):
    """PEFT's `adapter_names`, a different adaptor for each image of a batch, was asked for."""

    def __init__(self) -> None:
        super().__init__(
            "adapter_names (a different adaptor for each image of a batch) is not supported by residual adaptors; "
            "choose one with `set_adapter` and run one batch for each"
        )


class ResidualAdaptorLayer(nn.Module, BaseTunerLayer):
    """A hook point's module and, by adaptor name, the branches on its output (batch, channels, height, width)."""

    adapter_layer_names = ("residual_adaptor",)

    def __init__(self, base_layer: nn.Module, channels: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.channels = channels
        self.residual_adaptor = nn.ModuleDict()
        self.merged_adapters: list[str] = []
        self._disable_adapters = False
        self._active_adapter: str | list[str] = []

    def update_layer(self, name: str, config: ResidualAdaptorConfig) -> None:
        """Add an untrained branch under `name`."""
        self.residual_adaptor[name] = ResidualBranch(self.channels, config)
        self._move_adapter_to_device_of_base_layer(name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *arguments: Any, **keywords: Any) -> Tensor:
        if "adapter_names" in keywords:
            raise MixedBatchError
        features = self.base_layer(*arguments, **keywords)
        if self.disable_adapters:
            return features
        result = features
        for name in self.active_adapters:
            if name in self.residual_adaptor:
                branch = self.residual_adaptor[name]
                # Adaptors stay in fp32 on a half-precision backbone.
                weights_dtype = branch.normalize.weight.dtype
                result = result + branch(self._cast_input_dtype(features, weights_dtype)).to(features.dtype)
        return result

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        raise MergeError(
            "a residual adaptor holds a non-linear branch and cannot be merged into the backbone's weights; "
            "keep it attached"
        )

    def unmerge(self) -> None:
        raise MergeError("a residual adaptor is never merged, so there is nothing to unmerge")

    def _get_base_layer_device_and_dtype(self, base_layer: nn.Module) -> tuple[torch.device | None, torch.dtype | None]:
        # PEFT looks for `base_layer.weight`, which a block of several layers does not have.
        parameter = next(base_layer.parameters())
        return parameter.device, parameter.dtype
