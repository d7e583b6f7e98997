"""The fingerprint of a set of tensors, which tells the backbone that an adaptor was trained on."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def fingerprint_tensors(tensors: Mapping[str, Tensor]) -> str:
    """sha256 (64 hexadecimal digits) over each tensor's name, dtype, shape and bytes, sorted by name.

    File layout, device and memory format play no part, so saving and loading preserve it.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
