"""Registration of our adaptor kinds with PEFT.

PEFT's own `register_peft_method` accepts only members of its closed `PeftType` enum, so the three registries it would
fill are filled here instead. They are not public API: only this file writes to them, pyproject.toml bounds the peft
version for their sake, and tests/adaptors/test_registration.py is the contract with that range.
"""

from enum import StrEnum

import peft.mapping
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner


class AdaptorKind(StrEnum):
    """The adaptor kinds that PEFT does not have, as named in files of PEFT's layout."""

    RESIDUAL = "RETINA_RESIDUAL"
    SERIAL = "RETINA_SERIAL"


def register_adaptor_kind(kind: AdaptorKind, config_class: type[PeftConfig], tuner_class: type[BaseTuner]) -> None:
    """Make a kind known to `PeftModel`, `PeftConfig.from_pretrained` and `get_peft_model`."""
    # PEFT's annotations ask for members of its closed enumeration.
    peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING[kind] = config_class  # type: ignore[index]
    peft.mapping.PEFT_TYPE_TO_TUNER_MAPPING[kind] = tuner_class  # type: ignore[index]
    peft.mapping.PEFT_TYPE_TO_PREFIX_MAPPING[kind] = tuner_class.prefix  # type: ignore[index]
