"""Objectives in full precision, whatever precision the network runs in."""

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def in_full_precision(objective: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
    """Decorate an objective: it gets float32 where it was given less, and is computed with autocast off.

    SSIM's variance is a difference of two averages, and fine detail is a difference of two pictures. In bfloat16, with
    less than three digits, both are nothing but rounding: SSIM's denominator can come out as 0, and its loss as -inf.
    """
    compute: Callable[..., Tensor] = objective

    @functools.wraps(objective)
    def computed_in_full_precision(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Tensor:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        device = tensors[0].device.type
        # The device `meta` has no autocast that could be turned off.
        off = torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
        with off:
            return compute(
                *(_at_least_float32(value) for value in args),
                **{name: _at_least_float32(value) for name, value in kwargs.items()},
            )

    return computed_in_full_precision


def _at_least_float32(value: Value) -> Value | Tensor:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.promote_types(value.dtype, torch.float32))
    return value
