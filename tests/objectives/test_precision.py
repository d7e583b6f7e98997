"""Objectives on pictures stay exact where the network runs in bfloat16."""

from collections.abc import Callable

import pytest
import torch
from new_process import run_script
from torch import Tensor

from retina_adapt.objectives import (
    absolute_error,
    masked_absolute_error,
    masked_detail_error,
    masked_logarithmic_error,
    multi_scale_structural_dissimilarity,
    structural_dissimilarity,
)

MASK = torch.ones(2, 1, 48, 48, dtype=torch.bool)
OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "absolute": absolute_error,
    "masked absolute": lambda result, target: masked_absolute_error(result, target, MASK),
    "logarithmic": lambda result, target: masked_logarithmic_error(result, target, MASK),
    "detail": lambda result, target: masked_detail_error(result, target, MASK),
    "structural": structural_dissimilarity,
    "structural, two scales": lambda result, target: multi_scale_structural_dissimilarity(result, target, scales=2),
}


def even_pictures(seed: int) -> Tensor:
    """Nearly without structure, as haze is: a variance that bfloat16 cannot hold beside the mean."""
    noise = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(seed))
    return 0.7 + 0.02 * noise


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_under_autocast_is_that_of_float32(name: str) -> None:
    objective = OBJECTIVES[name]
    result, target = even_pictures(0), even_pictures(1)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = objective(result, target)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, objective(result, target))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_of_half_precision_pictures_is_computed_in_float32_and_sends_gradients_back(name: str) -> None:
    objective = OBJECTIVES[name]
    result, target = even_pictures(0).bfloat16().requires_grad_(True), even_pictures(1).bfloat16()
    loss = objective(result, target)
    assert torch.equal(loss, objective(result.float(), target.float()))
    loss.backward()
    assert result.grad.dtype == torch.bfloat16
    assert result.grad.isfinite().all()
    assert result.grad.any()


def test_float64_stays_float64() -> None:
    assert structural_dissimilarity(even_pictures(0).double(), even_pictures(1).double()).dtype == torch.float64


def test_ssim_bears_a_precision_set_as_pytorch_advises() -> None:
    # PyTorch cannot always take back what was set, hence the new process.
    script = """
import torch
from retina_adapt.objectives import structural_dissimilarity

torch.backends.fp32_precision = "ieee"
assert structural_dissimilarity(torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)) > 0.9
assert torch.backends.cudnn.enabled
assert torch.backends.cudnn.conv.fp32_precision == "ieee"
"""
    run_script(script)
