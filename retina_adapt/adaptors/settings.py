"""The adaptor that a recipe trains, as specified in its configuration."""

from dataclasses import dataclass, field

from peft import PeftConfig

from retina_adapt.adaptors.hook_point.config import AdaptorConfigError, default_hook_groups
from retina_adapt.adaptors.kinds import KINDS
from retina_adapt.suggestions import did_you_mean

REFUSED = {
    "oft": "PEFT's OFT is not the identity at the start on 3x3 convolutions and would break the backbone; use boft, "
    "the orthogonal kind that is"
}

# PEFT's names for settings, and ours.
_SETTINGS_OF_PEFT = {"r": "rank", "boft_block_size": "rank", "lora_alpha": "alpha"}


@dataclass
class AdaptorSettings:
    """An adaptor's kind, place and size.

    Args:
        kind: residual, serial, lora, dora, loha, lokr, ia3 or boft; docs/adaptors.md compares them.
        hook_groups: where adaptors sit: encoder, decoder, denoiser.down, denoiser.mid, denoiser.up, or denoiser
            for all three of its groups.
        identity_start: for residual and serial: start as the identity. False is the authors' initialisation, for
            comparison only: it breaks the backbone until trained.
        bottleneck_channels: for residual: hidden channels of the local branch; 0 means one 3x3 convolution over all
            channels.
        depthwise: for residual: let the local branch's 3x3 convolution work on each channel alone, and a 1x1 mix them.
        context_grid: for residual: side of the grid to which the context branch pools; 0 leaves the branch out.
        context_channels: for residual: hidden channels of the context branch.
        rank: for lora, dora, loha and lokr: rank of a layer's change; for boft: side of its orthogonal blocks, which
            must divide the number of inputs (input channels times kernel area) of every adapted layer. For each layer
            BOFT keeps a square matrix over these inputs in memory: 21 MB for 256 channels and 3x3.
        alpha: for lora, dora, loha and lokr: the change is scaled by alpha / rank; null means the rank, a scale of 1.
    """

    kind: str = "residual"
    hook_groups: list[str] = field(default_factory=default_hook_groups)
    identity_start: bool = True
    bottleneck_channels: int = 0
    depthwise: bool = False
    context_grid: int = 4
    context_channels: int = 24
    rank: int = 8
    alpha: int | None = None

    def unread(self) -> list[str]:
        """The settings changed from their defaults that this kind does not use."""
        own = KINDS[self.kind].config_class.own_settings
        read = {_SETTINGS_OF_PEFT.get(name, name) for name in own} | {"kind"}
        default = AdaptorSettings()
        return [name for name, value in vars(self).items() if name not in read and value != getattr(default, name)]

    def to_peft_config(self) -> PeftConfig:
        """The PEFT configuration that `attach_adaptor` takes.

        Raises:
            AdaptorConfigError: the kind is unknown or not offered, a value is out of range, or the kind has a setting
                without a field here.
        """
        if self.kind in REFUSED:
            raise AdaptorConfigError(f"the adaptor kind '{self.kind}' is not offered: {REFUSED[self.kind]}")
        if self.kind not in KINDS:
            hint = did_you_mean(self.kind, KINDS) or f"; known are {', '.join(KINDS)}"
            raise AdaptorConfigError(f"no adaptor kind is named '{self.kind}'{hint}")
        alpha = self.rank if self.alpha is None else self.alpha
        values = vars(self) | {"alpha": alpha}
        config_class = KINDS[self.kind].config_class
        fields = {name: _SETTINGS_OF_PEFT.get(name, name) for name in config_class.own_settings}
        if missing := [name for name in fields.values() if name not in values]:
            raise AdaptorConfigError(
                f"the adaptor kind '{self.kind}' has a setting '{missing[0]}', for which AdaptorSettings has no field; "
                "add one"
            )
        return config_class(**{name: values[field_name] for name, field_name in fields.items()})
