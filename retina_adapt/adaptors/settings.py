"""The adaptor that a recipe shall train, as a configuration says it."""

import difflib
from dataclasses import dataclass, field

from peft import PeftConfig

from retina_adapt.adaptors.residual.config import AdaptorConfigError, ResidualAdaptorConfig

KINDS = ("residual",)


@dataclass
class AdaptorSettings:
    """An adaptor's kind, place and size.

    Args:
        kind: residual.
        hook_groups: where adaptors sit: encoder, decoder, denoiser.down, denoiser.mid, denoiser.up, or denoiser
            for its three.
        bottleneck_channels: hidden channels of the local branch; 0 is one 3x3 convolution over all channels.
        context_grid: side of the grid that the context branch pools to; 0 leaves the branch out.
        context_channels: hidden channels of the context branch.
    """

    kind: str = "residual"
    hook_groups: list[str] = field(default_factory=lambda: ["encoder", "decoder", "denoiser"])
    bottleneck_channels: int = 0
    context_grid: int = 8
    context_channels: int = 16

    def to_peft_config(self) -> PeftConfig:
        """The PEFT configuration that `attach_adaptor` takes.

        Raises:
            AdaptorConfigError: for an unknown kind or a value out of range.
        """
        if self.kind not in KINDS:
            nearest = difflib.get_close_matches(self.kind, KINDS, n=1)
            hint = f"did you mean '{nearest[0]}'?" if nearest else f"known are {', '.join(KINDS)}"
            raise AdaptorConfigError(f"no adaptor kind is named '{self.kind}'; {hint}")
        return ResidualAdaptorConfig(
            hook_groups=self.hook_groups,
            bottleneck_channels=self.bottleneck_channels,
            context_grid=self.context_grid,
            context_channels=self.context_channels,
        )
