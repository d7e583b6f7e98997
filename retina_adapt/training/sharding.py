"""Make parameters that FSDP2 shards over processes whole: for checkpoints, validation and the result."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor on every process; all processes call this. An unsharded tensor is returned as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def like_sharded(source: Tensor, like: Tensor) -> Tensor:
    """Cast, move and shard a whole tensor as `like` is; all processes hold the same `source`."""
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
    """Give every process the whole parameters within the context, so that any method of the module can be called.

    FSDP2 gathers them only for `forward`, but a validation calls other methods.
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
            # As FSDP2 sets it up: what the root gathers for its forward pass, the backward pass needs again at once.
            part.set_reshard_after_forward(part is not module, recurse=False)


class ShardedRoot(nn.Module):
    """A wrapper that FSDP2 is given in place of a training step.

    FSDP2 marks the module it is given for good, and that module cannot be sharded again.
    """

    def __init__(self, training_step: nn.Module) -> None:
        super().__init__()
        self.training_step = training_step

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = self.training_step(batch)
        return losses


@torch.no_grad()
def make_whole(module: nn.Module) -> None:
    """Replace sharded parameters by whole ones for good, so that the module can be saved or trained by another loop."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if isinstance(parameter, DTensor):
                setattr(part, name, nn.Parameter(parameter.full_tensor(), requires_grad=parameter.requires_grad))
