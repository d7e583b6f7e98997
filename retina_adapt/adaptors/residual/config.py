"""Configuration of the residual enhancement adaptor."""

from dataclasses import dataclass, field

from peft import PeftConfig

from retina_adapt.adaptors.registration import AdaptorKind
from retina_adapt.errors import RetinaAdaptError


class AdaptorConfigError(RetinaAdaptError):
    """An adaptor setting that is out of range."""


@dataclass
class ResidualAdaptorConfig(PeftConfig):
    """The residual enhancement adaptor: output + branch(output), the branch zero at the start.

    Args:
        hook_groups: where the adaptors sit: encoder, decoder, denoiser.down, denoiser.mid, denoiser.up, or denoiser
            for its three.
        bottleneck_channels: hidden channels of the local branch (a 3x3 and a 1x1 convolution); 0 is one 3x3
            convolution over all channels, as in the paper.
        context_grid: side of the grid that the context branch pools the feature map to; 0 leaves the branch out.
            A 3x3 convolution sees too little of the frame to undo uneven light.
        context_channels: hidden channels of the context branch.
        identity_start: start as the identity. False gives the local branch PyTorch's default start, as in the
            authors' release: for comparisons only, since it breaks the backbone until trained.
        target_modules: names of the hook points; found from `hook_groups` when the adaptor is attached.
    """

    hook_groups: list[str] = field(default_factory=lambda: ["encoder", "decoder", "denoiser"])
    bottleneck_channels: int = 0
    context_grid: int = 8
    context_channels: int = 16
    identity_start: bool = True
    target_modules: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = AdaptorKind.RESIDUAL
        for name in ("bottleneck_channels", "context_grid", "context_channels"):
            value = getattr(self, name)
            # `type`, since a bool is an int to Python but not to PyTorch.
            if type(value) is not int or not 0 <= value <= 4096:
                raise AdaptorConfigError(f"{name} is {value!r}; it must be a whole number in 0 to 4096")
        if type(self.identity_start) is not bool:
            raise AdaptorConfigError(f"identity_start is {self.identity_start!r}; it must be true or false")
        groups = self.hook_groups
        if not isinstance(groups, list) or not groups or not all(isinstance(group, str) for group in groups):
            raise AdaptorConfigError(f"hook_groups is {groups!r}; it must be a list of at least one hook group's name")
        if self.context_grid and not self.context_channels:
            raise AdaptorConfigError("context_channels is 0; give the context branch channels or set context_grid to 0")
