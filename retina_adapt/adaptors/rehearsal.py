"""Trial attachment of an adaptor to a copy of the backbone without values, before the real one.

Settings from a file can be absurd in ways that no check of single values foresees, and PEFT may fail halfway. On the
copy, failure costs no memory and leaves no trace on the backbone.
"""

import copy
from contextlib import nullcontext
from typing import TypeVar

import torch
from peft import BOFTConfig, PeftConfig, PeftModel
from torch import nn

from retina_adapt.adaptors.attach import AttachedBackboneError, attach_adaptor
from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.merging import MergeError
from retina_adapt.adaptors.names import AdaptorNameError
from retina_adapt.backbones import ReconstructionBackbone

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def rehearse_attaching(
    backbone: ReconstructionBackbone | PeftModel, settings: PeftConfig, name: str, *, origin: str
) -> PeftModel:
    """Attach an adaptor with these settings to a copy of the backbone on PyTorch's meta device, and return the copy.

    Raises:
        AdaptorFileError: names `origin`; the settings do not fit the backbone.
        AdaptorNameError: the name is taken or cannot be used.
        AttachedBackboneError: `backbone` is a bare backbone that already carries adaptors.
        MergeError: an adaptor is merged into the backbone.
    """
    # Puts the tensors that PEFT creates on the meta device too. BOFT computes with its own, which need values; their
    # size is bounded by the backbone's.
    device = nullcontext() if isinstance(settings, BOFTConfig) else torch.device("meta")
    try:
        with device:
            return attach_adaptor(_without_values(backbone), settings, name, without_values=True)
    except (AdaptorNameError, AttachedBackboneError, MergeError):
        raise
    except Exception as error:  # PEFT checks few settings: any exception may come out of its layers
        raise AdaptorFileError(f"{origin}: cannot be attached to this backbone: {error}") from error


def _without_values(module: AnyModule) -> AnyModule:
    """A copy whose tensors have the same shapes and types but hold no values and take no memory."""
    replaced: dict[int, object] = {}
    for parameter in module.parameters():
        empty = torch.empty_like(parameter, device="meta")
        replaced[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        replaced[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, replaced)
