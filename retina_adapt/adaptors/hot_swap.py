"""Another adaptor's values in the place of a resident one's, without compiling anything anew."""

from collections.abc import Mapping

import torch
from peft import PeftModel
from torch import Tensor

from retina_adapt.adaptors.merging import require_unmerged
from retina_adapt.adaptors.tensors import adaptor_tensors, check_adaptor_tensors


@torch.no_grad()
def hot_swap(adapted: PeftModel, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Copy these tensors into the adaptor `name`, in place: all of them or, on an error, none.

    Under `torch.compile`, `set_adapter` compiles anew for each adaptor that it makes active for the first time; values
    in place do not. The tensors are those of an adaptor of the same kind and settings (`adaptor_tensors`).

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        AdaptorTensorError: a tensor is missing, unexpected, misshapen, no floating point, or holds NaN or infinity.
        MergeError: an adaptor is merged into the backbone, which the new values would not reach.
    """
    require_unmerged(adapted.get_base_model())
    check_adaptor_tensors(adapted, name, tensors)
    # Collected first: the new values may be views of the parameters that are written to.
    own = adaptor_tensors(adapted, name)
    values = {key: tensor.detach().clone() for key, tensor in tensors.items()}
    for key, parameter in own.items():
        parameter.copy_(values[key])
