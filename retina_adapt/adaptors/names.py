"""Names of adaptors."""

import re

from peft import PeftModel
from torch import nn

from retina_adapt.errors import RetinaAdaptError


class AdaptorNameError(RetinaAdaptError):
    """An adaptor name that is taken, unknown, or cannot be part of a tensor's name."""


def require_usable_name(name: str) -> None:
    """Raises AdaptorNameError if no adaptor could bear this name."""
    # A dot would split the name of a tensor, in which the adaptor's name stands; it becomes part of file names and of
    # the card's commands, where a '-' at its start would be an option.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
        shown = name if len(name) <= 100 else f"{name[:100]}…"  # it may come from a file, and be anything
        raise AdaptorNameError(
            f"'{shown}' cannot name an adaptor: it must start with a letter or digit and hold at most 100 letters, "
            "digits, '_' and '-'"
        )
    # Layers keep their adaptors in these, whose own attributes ('keys', 'half', ...) cannot be entries.
    if hasattr(nn.ModuleDict, name) or hasattr(nn.ParameterDict, name):
        raise AdaptorNameError(f"'{name}' cannot name an adaptor: PyTorch's modules use this word; choose another name")


def require_attached(adapted: PeftModel, *names: str) -> None:
    """Raises AdaptorNameError if no adaptor of one of these names is attached."""
    for name in names:
        if name not in adapted.peft_config:
            attached = ", ".join(adapted.peft_config) or "none"
            raise AdaptorNameError(f"no adaptor is named '{name}'; attached are {attached}")
