"""The layer and the tuner of the serial adaptor."""

from torch import Tensor, nn

from retina_adapt.adaptors.hook_point.layer import HookPointLayer
from retina_adapt.adaptors.hook_point.tuner import HookPointTuner
from retina_adapt.adaptors.serial.branch import SerialBranch
from retina_adapt.adaptors.serial.config import SerialAdaptorConfig


class SerialAdaptorLayer(HookPointLayer):
    """shortcut(x) + A(h) with h = block(x) - shortcut(x), which is block(x) + (A(h) - h).

    The shortcut is what the block adds its residual to: `conv_shortcut(x)` if it has one, else its input x. If that is
    not of the output's shape, the block is taken to have no shortcut: h = block(x).
    """

    adapter_layer_names = ("serial_adaptor",)

    def make_branch(self, config: SerialAdaptorConfig) -> SerialBranch:
        return SerialBranch(self.point.channels, config)

    def branch_input(self, features: Tensor, block_input: Tensor) -> Tensor:
        convolution = getattr(self.base_layer, "conv_shortcut", None)
        shortcut = convolution(block_input) if isinstance(convolution, nn.Module) else block_input
        return features - shortcut if shortcut.shape == features.shape else features


class SerialAdaptorTuner(HookPointTuner):
    """Attaches serial adaptors to the hook points of a `ReconstructionBackbone`."""

    prefix = "serial_adaptor"
    tuner_layer_cls = SerialAdaptorLayer
