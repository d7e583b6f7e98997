"""The layer and the tuner of the residual adaptor."""

from retina_adapt.adaptors.hook_point.layer import HookPointLayer
from retina_adapt.adaptors.hook_point.tuner import HookPointTuner
from retina_adapt.adaptors.residual.branch import ResidualBranch
from retina_adapt.adaptors.residual.config import ResidualAdaptorConfig


class ResidualAdaptorLayer(HookPointLayer):
    """block(x) + branch(block(x))."""

    adapter_layer_names = ("residual_adaptor",)

    def make_branch(self, config: ResidualAdaptorConfig) -> ResidualBranch:
        return ResidualBranch(self.point.channels, config)


class ResidualAdaptorTuner(HookPointTuner):
    """Attaches residual adaptors to the hook points of a `ReconstructionBackbone`."""

    prefix = "residual_adaptor"
    tuner_layer_cls = ResidualAdaptorLayer
