"""Configuration of the serial adaptor."""

from dataclasses import dataclass
from typing import ClassVar

from retina_adapt.adaptors.hook_point.config import HookPointAdaptorConfig
from retina_adapt.adaptors.registration import AdaptorKind


@dataclass
class SerialAdaptorConfig(HookPointAdaptorConfig):
    """The adaptor of Yang et al., "General retinal image enhancement via reconstruction"; see `SerialBranch`.

    With `identity_start` (the default) the adaptor adds its convolution, which starts at zero, to its input; without,
    the convolution replaces the input, as in the authors' release.
    """

    kind: ClassVar[AdaptorKind] = AdaptorKind.SERIAL
    own_settings: ClassVar[tuple[str, ...]] = ("hook_groups", "identity_start")
