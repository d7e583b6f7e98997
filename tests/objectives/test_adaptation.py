"""The adaptation losses agree with their formulas, and send gradients where they should."""

import torch
from torch import Tensor

from retina_adapt.objectives import (
    latent_adaptation_loss,
    latent_preservation_loss,
    masked_absolute_error,
    masked_detail_error,
    masked_logarithmic_error,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def upper_half_mask() -> Tensor:
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., :4] = True
    return mask


def test_the_adaptation_loss_pulls_the_adapted_latent_and_not_the_target() -> None:
    target, adapted = random(1, 4, 4, 4).requires_grad_(False), random(1, 4, 4, 4, seed=1).requires_grad_(True)
    latent_adaptation_loss(target, adapted).backward()
    assert torch.equal(adapted.grad.sign(), (adapted - target).sign())


def test_the_preservation_loss_is_zero_for_an_encoder_that_keeps_clear_images() -> None:
    latent = random(1, 4, 4, 4)
    assert latent_preservation_loss(latent, latent.clone()) == 0
    torch.testing.assert_close(latent_preservation_loss(latent, latent - 0.5), torch.tensor(0.5))


def test_the_masked_error_is_blind_outside_the_mask() -> None:
    result, target = random(1, 3, 8, 8), random(1, 3, 8, 8, seed=1)
    expected = (result - target)[..., :4].abs().mean()
    torch.testing.assert_close(masked_absolute_error(result, target, upper_half_mask()), expected)
    result[..., 4:] = 99
    torch.testing.assert_close(masked_absolute_error(result, target, upper_half_mask()), expected)


def test_the_masked_error_sends_no_gradient_outside_the_mask_and_none_at_all_without_one() -> None:
    result = random(1, 3, 8, 8).requires_grad_(True)
    masked_absolute_error(result, random(1, 3, 8, 8, seed=1), upper_half_mask()).backward()
    assert (result.grad[..., :4] != 0).all()
    assert (result.grad[..., 4:] == 0).all()
    nothing = torch.zeros_like(upper_half_mask())
    assert masked_absolute_error(result, random(1, 3, 8, 8, seed=1), nothing) == 0


def test_the_logarithmic_error_follows_its_formula_in_the_field_of_view_and_is_zero_for_equal_images() -> None:
    target = torch.zeros(2, 3, 8, 8)
    mask = torch.ones(2, 1, 8, 8, dtype=torch.bool)
    mask[:, :, :4] = False
    result = torch.full_like(target, 0.1)
    result[1] = 0.3
    result[:, :, :4] = 1.0  # outside the field of view: not counted
    expected = (torch.tensor([0.1, 0.3]) ** 2 / 1e-5 + 1).log10().mean()
    torch.testing.assert_close(masked_logarithmic_error(result, target, mask), expected)
    assert masked_logarithmic_error(target, target, mask) == 0


def test_the_logarithmic_error_asks_a_mild_image_for_as_much_as_a_bad_one() -> None:
    error = torch.tensor([0.05, 0.4]).view(2, 1, 1, 1).expand(2, 1, 4, 4).clone().requires_grad_(True)
    mask = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    masked_logarithmic_error(error, torch.zeros_like(error), mask).backward()
    relative = (error.grad * error.detach()).sum((1, 2, 3))
    torch.testing.assert_close(relative[0], relative[1], rtol=0.01, atol=0)


def test_the_detail_error_sees_fine_lines_and_neither_even_light_nor_what_lies_outside_the_field_of_view() -> None:
    target = random(1, 3, 32, 32)
    mask = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    mask[..., 4:28, 4:28] = True
    brighter = target + 0.2
    brighter[..., :4] = 9.0
    torch.testing.assert_close(masked_detail_error(brighter, target, mask), torch.tensor(0.0), atol=1e-6, rtol=0)
    line, band = target.clone(), target.clone()
    line[..., 16] -= 0.1
    band[..., 4:16] -= 0.1
    errors = [masked_detail_error(result, target, mask) for result in (line, band)]
    # The band is twelve times as wide, and only its edge is fine.
    assert errors[0] > errors[1] > 0


def test_the_detail_error_of_a_larger_copy_is_that_of_the_frame_where_sigma_grows_as_much() -> None:
    target, mask = torch.full((1, 3, 64, 64), 0.5), torch.ones(1, 1, 64, 64, dtype=torch.bool)
    vessel = target.clone()
    vessel[..., 30:33] -= 0.2

    def error(scale: int, sigma: float) -> Tensor:
        larger = [image.repeat_interleave(scale, -1).repeat_interleave(scale, -2) for image in (vessel, target, mask)]
        return masked_detail_error(*larger, sigma=sigma)

    torch.testing.assert_close(error(2, 4.0), error(1, 2.0), rtol=0.02, atol=0)
    assert error(2, 2.0) < 0.8 * error(1, 2.0)


def test_a_mask_given_for_each_channel_counts_once() -> None:
    result, target = random(2, 3, 24, 32), random(2, 3, 24, 32, seed=1)
    mask = torch.zeros(2, 1, 24, 32, dtype=torch.bool)
    mask[..., 4:20, 4:28] = True
    for error in (masked_absolute_error, masked_logarithmic_error, masked_detail_error):
        torch.testing.assert_close(error(result, target, mask.expand(-1, 3, -1, -1)), error(result, target, mask))
