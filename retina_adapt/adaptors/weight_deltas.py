"""PEFT's kinds that change weights, and the layers of a backbone that they change.

They change every linear layer and every plain convolution inside the hook points of the chosen groups. Convolutions
that are grouped, dilated or not zero-padded are left alone: PEFT's kinds mishandle or refuse them. Layers and tuners
are PEFT's own; the configurations add hook groups and refuse what would break silently.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeGuard

import peft.tuners.boft.layer
from peft import BOFTConfig, IA3Config, LoHaConfig, LoKrConfig, LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from retina_adapt.adaptors.hook_point.config import (
    AdaptorConfigError,
    default_hook_groups,
    require_hook_groups,
    require_number,
)
from retina_adapt.adaptors.layers import tuner_layers
from retina_adapt.backbones import ReconstructionBackbone, select_hook_points


@dataclass
class WeightDeltaConfig:
    """What these kinds' configurations add to PEFT's.

    Args:
        hook_groups: where adaptors sit; `target_modules` is set from it when the adaptor is attached.
    """

    own_settings: ClassVar[tuple[str, ...]]
    """The settings that fully define an adaptor of this kind; PEFT's others stay at their defaults."""

    hook_groups: list[str] = field(default_factory=default_hook_groups)

    def __post_init__(self) -> None:
        # Checked before PEFT would raise errors of its own.
        require_hook_groups(self.hook_groups)
        for name in self.own_settings:
            if name != "hook_groups":
                require_number(name, getattr(self, name), least=1)
        super().__post_init__()  # type: ignore[misc]  # PEFT's, from the class this is mixed into

    def aim_at(self, backbone: ReconstructionBackbone) -> None:
        """Set `target_modules` to the layers to change in this backbone.

        Raises:
            AdaptorConfigError: there is no such layer, or the kind cannot change one of them.
            HookPointError: the backbone has no hook point in one of the hook groups.
        """
        targets = target_layers(backbone, self.hook_groups)
        if not targets:
            raise AdaptorConfigError(
                f"there is no linear layer or plain convolution in {', '.join(self.hook_groups)}, so a kind that "
                "changes weights has nothing to change; use residual"
            )
        for name, layer in targets.items():
            self.require_changeable(name, layer)
        self.target_modules: Any = set(targets)

    def require_changeable(self, name: str, layer: nn.Linear | nn.Conv2d) -> None:
        """Raise AdaptorConfigError if the kind cannot change this layer of the backbone."""


@dataclass
class LoraAdaptorConfig(WeightDeltaConfig, LoraConfig):
    """weight + lora_alpha / r * B A, with r columns in B (Hu et al. 2021, "LoRA")."""

    own_settings: ClassVar[tuple[str, ...]] = ("hook_groups", "r", "lora_alpha")


@dataclass
class DoraAdaptorConfig(WeightDeltaConfig, LoraConfig):
    """magnitude * (weight + lora_alpha / r * B A) / norm, for each output (Liu et al. 2024, "DoRA")."""

    own_settings: ClassVar[tuple[str, ...]] = ("hook_groups", "r", "lora_alpha")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.use_dora = True

    def require_changeable(self, name: str, layer: nn.Linear | nn.Conv2d) -> None:
        weight = layer.weight.detach()
        # PEFT divides by the norm unchecked: the output would be NaN.
        if not weight.is_meta and not weight.flatten(1).any(dim=1).all():
            raise AdaptorConfigError(
                f"{name} has an output with all-zero weights, as in an untrained backbone, and DoRA divides by their "
                "norm; train the backbone first, or use lora"
            )


@dataclass
class LoHaAdaptorConfig(WeightDeltaConfig, LoHaConfig):
    """weight + alpha / r * (B1 A1) * (B2 A2), the middle product elementwise (Hyeon-Woo et al. 2022, "FedPara")."""

    own_settings: ClassVar[tuple[str, ...]] = ("hook_groups", "r", "alpha")


@dataclass
class LoKrAdaptorConfig(WeightDeltaConfig, LoKrConfig):
    """weight + alpha / r * C ⊗ (B A), where ⊗ is the Kronecker product (Yeh et al. 2024, "LyCORIS")."""

    own_settings: ClassVar[tuple[str, ...]] = ("hook_groups", "r", "alpha")


@dataclass
class IA3AdaptorConfig(WeightDeltaConfig, IA3Config):
    """A factor for each output of a layer (Liu et al. 2022, "Few-shot parameter-efficient fine-tuning")."""

    own_settings: ClassVar[tuple[str, ...]] = ("hook_groups",)

    # Required by PEFT: the layers whose inputs, rather than outputs, get the factors. There are none.
    feedforward_modules: list[str] = field(default_factory=list)


@dataclass
class BOFTAdaptorConfig(WeightDeltaConfig, BOFTConfig):
    """Weights rotated in blocks of inputs, and a factor for each output (Liu et al. 2024, "BOFT").

    For each layer PEFT keeps a square matrix in memory, whose side is the input channels times the kernel area: 21 MB
    for 256 channels and 3x3. More than one butterfly factor would need a CUDA compiler, so their number stays 1.
    """

    own_settings: ClassVar[tuple[str, ...]] = ("hook_groups", "boft_block_size")

    def require_changeable(self, name: str, layer: nn.Linear | nn.Conv2d) -> None:
        inputs = layer.weight[0].numel()
        if inputs % self.boft_block_size:
            raise AdaptorConfigError(
                f"boft's blocks of {self.boft_block_size} do not divide the {inputs} inputs of {name}; set the rank, "
                "which is the size of the blocks, to 2, 3, 4 or 8"
            )


def target_layers(backbone: ReconstructionBackbone, groups: list[str]) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers that these kinds change, by name, whether or not adaptors are attached.

    Raises:
        HookPointError: the backbone has no hook point in one of these groups.
    """
    inside_tuner_layers = tuple(f"{name}." for name, _ in tuner_layers(backbone))
    found: dict[str, nn.Linear | nn.Conv2d] = {}
    for point in select_hook_points(backbone.hook_points(), groups):
        for rest, module in backbone.get_submodule(point.name).named_modules():
            name = f"{point.name}.{rest}" if rest else point.name
            if name.startswith(inside_tuner_layers):
                continue
            layer = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
            if isinstance(layer, nn.Linear) or _is_plain_convolution(layer):
                found[name] = layer
    return found


@contextmanager
def without_compiling() -> Iterator[None]:
    """Keep PEFT from compiling, again at each BOFT layer, a CUDA extension that a single factor does not need."""
    module: Any = peft.tuners.boft.layer
    before = module._FBD_CUDA
    module._FBD_CUDA = False
    try:
        yield
    finally:
        module._FBD_CUDA = before


def _is_plain_convolution(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    if not isinstance(layer, nn.Conv2d):
        return False
    return layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
