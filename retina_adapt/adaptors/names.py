"""Names of adaptors."""

import re

from peft import PeftModel
from torch import nn

from retina_adapt.errors import RetinaAdaptError


class AdaptorNameError(RetinaAdaptError):
    """An adaptor name that is taken, unknown, or cannot be part of a tensor's name."""


def require_usable_name(name: str) -> None:
    """Raises AdaptorNameError if no adaptor could bear this name."""
    # A dot would split the name of a tensor, in which the adaptor's name stands.
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise AdaptorNameError(f"'{name}' cannot name an adaptor: use letters, digits, '_' and '-'")
    # Layers keep their adaptors in these, whose own attributes ('keys', 'half', ...) cannot be entries.
    if hasattr(nn.ModuleDict, name) or hasattr(nn.ParameterDict, name):
        raise AdaptorNameError(f"'{name}' cannot name an adaptor: PyTorch's modules use this word; choose another name")


def require_attached(adapted: PeftModel, *names: str) -> None:
    """Raises AdaptorNameError if no adaptor of one of these names is attached."""
    for name in names:
        if name not in adapted.peft_config:
            attached = ", ".join(adapted.peft_config) or "none"
            raise AdaptorNameError(f"no adaptor is named '{name}'; attached are {attached}")
