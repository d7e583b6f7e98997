"""The adaptor kinds by name: how each is configured, and what it allows."""

from dataclasses import dataclass
from typing import Any

from peft import LoraConfig, PeftConfig

from retina_adapt.adaptors.hook_point.config import AdaptorConfigError
from retina_adapt.adaptors.residual.config import ResidualAdaptorConfig
from retina_adapt.adaptors.serial.config import SerialAdaptorConfig
from retina_adapt.adaptors.weight_deltas import (
    BOFTAdaptorConfig,
    DoraAdaptorConfig,
    IA3AdaptorConfig,
    LoHaAdaptorConfig,
    LoKrAdaptorConfig,
    LoraAdaptorConfig,
)


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        config_class: its configuration; `own_settings` names the settings that say all of an adaptor.
        mergeable: it changes weights alone, so that it can be merged into them (`merge_adaptor`).
        additive: it adds a change to each layer's output, so that changes can be weighted (`set_adaptor_weights`).
    """

    config_class: type[PeftConfig]
    mergeable: bool
    additive: bool


KINDS: dict[str, Kind] = {
    "residual": Kind(ResidualAdaptorConfig, mergeable=False, additive=True),
    "serial": Kind(SerialAdaptorConfig, mergeable=False, additive=True),
    "lora": Kind(LoraAdaptorConfig, mergeable=True, additive=True),
    "dora": Kind(DoraAdaptorConfig, mergeable=True, additive=False),
    "loha": Kind(LoHaAdaptorConfig, mergeable=True, additive=True),
    "lokr": Kind(LoKrAdaptorConfig, mergeable=True, additive=True),
    "ia3": Kind(IA3AdaptorConfig, mergeable=True, additive=False),
    "boft": Kind(BOFTAdaptorConfig, mergeable=True, additive=False),
}


def kind_of(config: PeftConfig) -> str:
    """The name in `KINDS` of this configuration's kind; PEFT's own configurations have one too.

    Raises:
        AdaptorConfigError: it is of none of them.
    """
    if isinstance(config, LoraConfig):
        return "dora" if config.use_dora else "lora"
    peft_type: Any = config.peft_type  # of PEFT's enumeration or of ours
    name = str(peft_type.value).removeprefix("RETINA_").lower()
    if name not in KINDS:
        raise AdaptorConfigError(f"{type(config).__name__} is of no kind of this package, which are {', '.join(KINDS)}")
    return name
