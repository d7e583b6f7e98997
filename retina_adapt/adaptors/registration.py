"""Our adaptor kinds in PEFT's registries.

PEFT's own `register_peft_method` accepts only members of its closed `PeftType` enum, so that the three registries it
would fill are filled here instead. They are not public API: this file is the one place that touches them, the peft
range in pyproject.toml is closed for it, and tests/adaptors/test_registration.py is the contract with that range.
"""

from enum import StrEnum

import peft.mapping
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner


class AdaptorKind(StrEnum):
    """The adaptor kinds that PEFT does not have, as they stand in an adaptor's files."""

    RESIDUAL = "RETINA_RESIDUAL"
    SERIAL = "RETINA_SERIAL"


def register_adaptor_kind(kind: AdaptorKind, config_class: type[PeftConfig], tuner_class: type[BaseTuner]) -> None:
    """Make a kind known to `PeftModel`, `PeftConfig.from_pretrained` and `get_peft_model`."""
    # PEFT's own kinds are a closed enumeration, which its annotations ask for.
    peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING[kind] = config_class  # type: ignore[index]
    peft.mapping.PEFT_TYPE_TO_TUNER_MAPPING[kind] = tuner_class  # type: ignore[index]
    peft.mapping.PEFT_TYPE_TO_PREFIX_MAPPING[kind] = tuner_class.prefix  # type: ignore[index]
