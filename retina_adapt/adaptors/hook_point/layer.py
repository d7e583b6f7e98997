"""The PEFT layer around one hook point: the block's output plus the changes from the active adaptors' branches."""

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from retina_adapt.adaptors.hook_point.config import HookPointAdaptorConfig
from retina_adapt.adaptors.hook_point.layout import from_map, to_map
from retina_adapt.adaptors.merging import MergeError
from retina_adapt.adaptors.mixed_batch import MixedBatchError
from retina_adapt.backbones import HookPoint, HookPointError


class HookPointLayer(nn.Module, BaseTunerLayer):
    """A hook point's block and, by adaptor name, the branches that change its output.

    Each kind is a subclass that names the attribute for its branches (`adapter_layer_names`, one entry) and defines
    `make_branch`.
    """

    other_param_names = ("adaptor_weights",)

    def __init__(self, base_layer: nn.Module, point: HookPoint) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.point = point
        self.adaptor_weights: dict[str, float] = {}
        self.merged_adapters: list[str] = []
        self._disable_adapters = False
        self._active_adapter: str | list[str] = []
        setattr(self, self.adapter_layer_names[0], nn.ModuleDict())

    @property
    def branches(self) -> nn.ModuleDict:
        """The branches by adaptor name; each maps (batch, channels, height, width) to a change of the same shape."""
        return getattr(self, self.adapter_layer_names[0])

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            # Backbones reach into their blocks: diffusers' DiT computes its conditioning with parts of the first one.
            return getattr(super().__getattr__("base_layer"), name)

    def make_branch(self, config: HookPointAdaptorConfig) -> nn.Module:
        """An untrained branch."""
        raise NotImplementedError

    def branch_input(self, features: Tensor, block_input: Tensor) -> Tensor:
        """What branches see, in the shape of the block's output `features`; by default that output itself."""
        return features

    def update_layer(self, name: str, config: HookPointAdaptorConfig) -> None:
        """Add an untrained branch under `name`."""
        self.branches[name] = self.make_branch(config)
        self.adaptor_weights[name] = 1.0
        self._move_adapter_to_device_of_base_layer(name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def set_scale(self, name: str, scale: float) -> None:
        """Set the weight of the adaptor `name`, by which its change is multiplied; named as in PEFT."""
        if name in self.branches:
            self.adaptor_weights[name] = scale

    def forward(self, *arguments: Any, **keywords: Any) -> Tensor:
        if "adapter_names" in keywords:
            raise MixedBatchError.instead_of_adapter_names()
        features = self.base_layer(*arguments, **keywords)
        active = [name for name in self.active_adapters if name in self.branches]
        if self.disable_adapters or not active:
            return features
        if not arguments:
            raise HookPointError(
                f"{self.point.name}: was called with its input by keyword; the backbone's part must pass it as the "
                "first positional argument"
            )
        # Contiguous because on a CPU, PyTorch's GroupNorm crashes in the backward pass if its input is channels-last
        # and needs no gradient, like the output of a frozen block.
        seen = to_map(self.branch_input(features, arguments[0]), self.point).contiguous()
        result = features
        for name in active:
            branch = self.branches[name]
            # Adaptors stay in single precision even on a half-precision backbone.
            change = branch(self._cast_input_dtype(seen, next(branch.parameters()).dtype))
            if self.adaptor_weights[name] != 1.0:
                change = self.adaptor_weights[name] * change
            result = result + from_map(change, self.point).to(features.dtype)
        return result

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        raise MergeError.of_non_linear_branch()

    def unmerge(self) -> None:
        raise MergeError.of_non_linear_branch()

    def _get_base_layer_device_and_dtype(self, base_layer: nn.Module) -> tuple[torch.device | None, torch.dtype | None]:
        # PEFT looks for `base_layer.weight`, which a block of several layers does not have.
        parameter = next(base_layer.parameters())
        return parameter.device, parameter.dtype
