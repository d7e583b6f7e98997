"""The adaptor kinds by name: how each is configured and what it supports."""

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
    """One adaptor kind.

    Attributes:
        config_class: its configuration, whose `own_settings` name the settings that fully define an adaptor.
        mergeable: whether it only changes weights, so that it can be merged into them (`merge_adaptor`).
        additive: whether it adds a change to each layer's output, so that the change can be weighted
            (`set_adaptor_weights`).
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
    """The name in `KINDS` of a configuration's kind, also for PEFT's own configurations.

    Raises:
        AdaptorConfigError: the configuration belongs to no kind in `KINDS`.
    """
    if isinstance(config, LoraConfig):
        return "dora" if config.use_dora else "lora"
    peft_type: Any = config.peft_type  # from PEFT's enumeration or ours
    name = str(peft_type.value).removeprefix("RETINA_").lower()
    if name not in KINDS:
        raise AdaptorConfigError(f"{type(config).__name__} belongs to no kind of adaptor; known are {', '.join(KINDS)}")
    return name
