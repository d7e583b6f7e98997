"""Losses agree with their formulas, computed another way."""

import pytest
import torch
from diffusers import DDIMScheduler
from torchmetrics.functional.image import structural_similarity_index_measure

from retina_adapt.objectives import (
    PredictionTypeError,
    diffusion_loss,
    diffusion_target,
    kl_divergence,
    latent_adaptation_loss,
    latent_preservation_loss,
    masked_absolute_error,
    structural_dissimilarity,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_structural_dissimilarity_is_one_minus_ssim() -> None:
    one, other = random(2, 3, 40, 48), random(2, 3, 40, 48, seed=1)
    _, similarity = structural_similarity_index_measure(one, other, sigma=1.5, data_range=1.0, return_full_image=True)
    # Ours takes whole windows only, theirs pads.
    whole_windows = similarity[..., 5:-5, 5:-5]
    torch.testing.assert_close(structural_dissimilarity(one, other), 1 - whole_windows.mean(), rtol=1e-4, atol=1e-5)
    assert structural_dissimilarity(one, one).abs() < 1e-6


def test_kl_divergence_is_that_of_normal_distributions() -> None:
    mean, log_variance = random(2, 4, 8, 8), random(2, 4, 8, 8, seed=1)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_prediction_of_each_type_recovers_the_clean_latent(prediction_type: str) -> None:
    scheduler = DDIMScheduler(prediction_type=prediction_type, clip_sample=False)
    scheduler.set_timesteps(1000)
    clean, noise, timesteps = random(2, 4, 8, 8), random(2, 4, 8, 8, seed=1), torch.tensor([10, 600])
    noisy = scheduler.add_noise(clean, noise, timesteps)
    target = diffusion_target(clean, noise, scheduler.alphas_cumprod, timesteps, prediction_type)
    for row, timestep in enumerate(timesteps):
        step = scheduler.step(target[row : row + 1], timestep, noisy[row : row + 1])
        torch.testing.assert_close(step.pred_original_sample, clean[row : row + 1], rtol=1e-3, atol=1e-3)


def test_the_velocity_is_that_of_diffusers() -> None:
    scheduler = DDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    clean, noise, timesteps = random(3, 4, 8, 8), random(3, 4, 8, 8, seed=1), torch.tensor([0, 600, 999])
    target = diffusion_target(clean, noise, scheduler.alphas_cumprod, timesteps, "v_prediction")
    torch.testing.assert_close(target, scheduler.get_velocity(clean, noise, timesteps))


def test_the_diffusion_loss_is_the_mean_square() -> None:
    prediction, target = random(2, 4, 8, 8), random(2, 4, 8, 8, seed=1)
    torch.testing.assert_close(diffusion_loss(prediction, target), (prediction - target).pow(2).mean())


def test_an_unknown_prediction_type_is_an_error() -> None:
    with pytest.raises(PredictionTypeError, match="use epsilon, v_prediction or sample"):
        diffusion_target(random(1, 1, 2, 2), random(1, 1, 2, 2), random(10), torch.tensor([1]), "score")


def test_the_masked_error_is_blind_outside_the_mask() -> None:
    result, target = random(1, 3, 8, 8), random(1, 3, 8, 8, seed=1)
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., :4] = True
    expected = (result - target)[..., :4].abs().mean()
    torch.testing.assert_close(masked_absolute_error(result, target, mask), expected)
    result[..., 4:] = 99
    torch.testing.assert_close(masked_absolute_error(result, target, mask), expected)


def test_the_adaptation_loss_pulls_the_adapted_latent_and_not_the_target() -> None:
    target, adapted = random(1, 4, 4, 4).requires_grad_(False), random(1, 4, 4, 4, seed=1).requires_grad_(True)
    latent_adaptation_loss(target, adapted).backward()
    assert torch.equal(adapted.grad.sign(), (adapted - target).sign())


def test_the_preservation_loss_is_zero_for_an_encoder_that_keeps_clear_images() -> None:
    latent = random(1, 4, 4, 4)
    assert latent_preservation_loss(latent, latent.clone()) == 0
    torch.testing.assert_close(latent_preservation_loss(latent, latent - 0.5), torch.tensor(0.5))


def test_the_masked_error_sends_no_gradient_outside_the_mask_and_none_at_all_without_one() -> None:
    result = random(1, 3, 8, 8).requires_grad_(True)
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., :4] = True
    masked_absolute_error(result, random(1, 3, 8, 8, seed=1), mask).backward()
    assert (result.grad[..., :4] != 0).all()
    assert (result.grad[..., 4:] == 0).all()
    assert masked_absolute_error(result, random(1, 3, 8, 8, seed=1), torch.zeros_like(mask)) == 0


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
