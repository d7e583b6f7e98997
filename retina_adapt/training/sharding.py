"""Parameters that FSDP2 shards over processes, taken as a whole: for checkpoints, validation and the result."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """The tensor on every process; all of them call this. One that is not sharded is returned as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def like_sharded(source: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, cast, moved and sharded as `like` is; all processes hold the same `source`."""
    if isinstance(like, DTensor):
        moved = source.to(dtype=like.dtype, device=like.device)
        return distribute_tensor(moved, like.device_mesh, like.placements)
    return source.to(like)


@torch.no_grad()
def copy_whole(source: Tensor, target: Tensor) -> None:
    """Copy a whole tensor into one that may be sharded."""
    target.copy_(like_sharded(source, target))


@contextmanager
def gathered_parameters(module: nn.Module) -> Iterator[None]:
    """Within the context every process holds the whole parameters, so that any of the module's methods can be called.

    FSDP2 gathers them for `forward` alone, and a validation calls other methods.
    """
    sharded = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for part in sharded:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in sharded:
            part.reshard()
            # As FSDP2 begins: what the root gathers for its forward pass, it needs again at once for the backward.
            part.set_reshard_after_forward(part is not module, recurse=False)


class ShardedRoot(nn.Module):
    """What FSDP2 is given in place of a training step: it marks a module for good, which could not be sharded again."""

    def __init__(self, training_step: nn.Module) -> None:
        super().__init__()
        self.training_step = training_step

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = self.training_step(batch)
        return losses


@torch.no_grad()
def make_whole(module: nn.Module) -> None:
    """Put whole parameters in place of sharded ones, for good: the module can be saved, or trained by another loop."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if isinstance(parameter, DTensor):
                setattr(part, name, nn.Parameter(parameter.full_tensor(), requires_grad=parameter.requires_grad))
