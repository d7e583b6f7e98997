"""Checks of adaptor names."""

import re

from peft import PeftModel
from torch import nn

from retina_adapt.errors import RetinaAdaptError


class AdaptorNameError(RetinaAdaptError):
    """An adaptor name that is taken, unknown, or cannot be part of a tensor's name."""


def require_usable_name(name: str) -> None:
    """Raise AdaptorNameError if no adaptor can have this name."""
    # The name becomes part of tensors' names, which a dot would split, of file names, and of the card's commands, where
    # a leading '-' would make it an option.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
        shown = name if len(name) <= 100 else f"{name[:100]}…"  # it may come from a file and be anything
        raise AdaptorNameError(
            f"'{shown}' cannot name an adaptor: it must start with a letter or digit and hold at most 100 letters, "
            "digits, '_' and '-'"
        )
    # Layers keep their adaptors in these dictionaries, whose own attributes ('keys', 'half', ...) cannot be entries.
    if hasattr(nn.ModuleDict, name) or hasattr(nn.ParameterDict, name):
        raise AdaptorNameError(f"'{name}' cannot name an adaptor: PyTorch's modules use this word; choose another name")


def require_attached(adapted: PeftModel, *names: str) -> None:
    """Raise AdaptorNameError if an adaptor named here is not attached."""
    for name in names:
        if name not in adapted.peft_config:
            attached = ", ".join(adapted.peft_config) or "none"
            raise AdaptorNameError(f"no adaptor is named '{name}'; attached are {attached}")
