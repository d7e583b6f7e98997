"""The structural terms agree with SSIM, computed another way."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from retina_adapt.objectives import (
    ImageTooSmallError,
    multi_scale_structural_dissimilarity,
    structural_dissimilarity,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def one_minus_ssim(one: Tensor, other: Tensor) -> Tensor:
    _, similarity = structural_similarity_index_measure(one, other, sigma=1.5, data_range=1.0, return_full_image=True)
    # Ours takes whole windows only, theirs pads.
    return 1 - similarity[..., 5:-5, 5:-5].mean()


def test_structural_dissimilarity_is_one_minus_ssim() -> None:
    one, other = random(2, 3, 40, 48), random(2, 3, 40, 48, seed=1)
    torch.testing.assert_close(structural_dissimilarity(one, other), one_minus_ssim(one, other), rtol=1e-4, atol=1e-5)
    assert structural_dissimilarity(one, one).abs() < 1e-6


def test_following_the_gradient_of_the_structural_term_makes_images_alike() -> None:
    result, target = random(1, 3, 16, 16).requires_grad_(True), random(1, 3, 16, 16, seed=1)
    before = structural_dissimilarity(result, target)
    before.backward()
    assert result.grad.isfinite().all()
    assert structural_dissimilarity(result.detach() - 0.1 * result.grad.sign(), target) < before


def test_the_structural_term_is_finite_for_black_images() -> None:
    black = torch.zeros(1, 3, 16, 16, requires_grad=True)
    loss = structural_dissimilarity(black, torch.zeros(1, 3, 16, 16))
    loss.backward()
    assert loss == 0
    assert black.grad.isfinite().all()


def test_the_multi_scale_term_is_the_mean_over_halved_images() -> None:
    one, other = random(2, 3, 88, 96), random(2, 3, 88, 96, seed=1)
    expected = [
        one_minus_ssim(F.interpolate(one, size, mode="area"), F.interpolate(other, size, mode="area"))
        for size in ((88, 96), (44, 48), (22, 24))
    ]
    found = multi_scale_structural_dissimilarity(one, other, scales=3)
    torch.testing.assert_close(found, torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)


def test_one_scale_is_the_plain_term() -> None:
    one, other = random(1, 3, 20, 20), random(1, 3, 20, 20, seed=1)
    assert multi_scale_structural_dissimilarity(one, other, scales=1) == structural_dissimilarity(one, other)


def test_uneven_light_weighs_more_at_coarse_scales() -> None:
    image = 0.5 + 0.02 * (random(1, 1, 64, 64) - 0.5)
    uneven = image + 0.05 * torch.linspace(-1, 1, 64)
    assert multi_scale_structural_dissimilarity(uneven, image, scales=3) > 2 * structural_dissimilarity(uneven, image)


def test_an_image_smaller_than_the_coarsest_window_is_refused_by_size() -> None:
    assert multi_scale_structural_dissimilarity(random(1, 3, 44, 44), random(1, 3, 44, 44), scales=3).abs() < 1e-6
    with pytest.raises(ImageTooSmallError, match=r"at least 44 px.*43 x 60"):
        multi_scale_structural_dissimilarity(random(1, 3, 43, 60), random(1, 3, 43, 60), scales=3)


def test_an_image_smaller_than_the_window_is_refused_by_size() -> None:
    assert structural_dissimilarity(random(1, 3, 11, 12), random(1, 3, 11, 12)).abs() < 1e-6
    with pytest.raises(ImageTooSmallError, match=r"at least 11 px.*12 x 10"):
        structural_dissimilarity(random(1, 3, 12, 10), random(1, 3, 12, 10))
