"""Diffusion targets and the weights of noise levels agree with diffusers and with their formulas."""

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from retina_adapt.objectives import PredictionTypeError, diffusion_loss, diffusion_target, min_snr_weight

GAMMA = 5.0
ALPHAS_CUMPROD = DDIMScheduler(beta_start=0.0015, beta_end=0.0155, beta_schedule="linear").alphas_cumprod
ZERO_TERMINAL = DDIMScheduler(rescale_betas_zero_snr=True).alphas_cumprod
EVERY_LEVEL = torch.arange(1000)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


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


def test_weights_multiply_each_rows_own_error() -> None:
    prediction, target = random(3, 4, 8, 8), random(3, 4, 8, 8, seed=1)
    torch.testing.assert_close(diffusion_loss(prediction, target, torch.ones(3)), diffusion_loss(prediction, target))
    only_second = diffusion_loss(prediction, target, torch.tensor([0.0, 6.0, 0.0]))
    torch.testing.assert_close(only_second, 2 * diffusion_loss(prediction[1], target[1]))


def test_an_unknown_prediction_type_is_an_error() -> None:
    latent, levels, timesteps = random(1, 1, 2, 2), random(10), torch.tensor([1])
    with pytest.raises(PredictionTypeError, match="'score'; use epsilon, v_prediction or sample"):
        diffusion_target(latent, latent, levels, timesteps, "score")
    with pytest.raises(PredictionTypeError, match="'score'; use epsilon, v_prediction or sample"):
        min_snr_weight(levels, timesteps, "score", GAMMA)


def test_the_weight_of_noise_is_that_of_the_paper_at_every_level() -> None:
    snr = ALPHAS_CUMPROD / (1 - ALPHAS_CUMPROD)
    expected = torch.minimum(snr, torch.tensor(GAMMA)) / snr
    torch.testing.assert_close(min_snr_weight(ALPHAS_CUMPROD, EVERY_LEVEL, "epsilon", GAMMA), expected)


@given(timestep=st.integers(0, 999), gamma=st.floats(1.0, 20.0))
def test_errors_of_sample_and_velocity_weigh_alike(timestep: int, gamma: float) -> None:
    """The same error of the denoised latent costs the same, whichever of the two the network predicts."""
    level = ZERO_TERMINAL[timestep]
    losses = {}
    for prediction_type, scale in (("sample", 1.0), ("v_prediction", (1 - level) ** -0.5)):
        weight = min_snr_weight(ZERO_TERMINAL, torch.tensor([timestep]), prediction_type, gamma)
        # latent = alpha * noisy - sigma * velocity, so that an error of the velocity is sigma times that of the latent.
        error = torch.full((1, 1, 2, 2), 0.3) * scale
        losses[prediction_type] = diffusion_loss(error, torch.zeros_like(error), weight)
    torch.testing.assert_close(losses["v_prediction"], losses["sample"], rtol=1e-4, atol=1e-6)


@given(timestep=st.integers(0, 999), gamma=st.floats(1.0, 20.0))
def test_errors_of_noise_and_sample_weigh_alike_where_the_signal_is_the_stronger(timestep: int, gamma: float) -> None:
    level = ALPHAS_CUMPROD[timestep]
    snr = level / (1 - level)
    noise, sample = (
        min_snr_weight(ALPHAS_CUMPROD, torch.tensor([timestep]), kind, gamma) for kind in ("epsilon", "sample")
    )
    # An error of the noise is alpha / sigma = sqrt(snr) times that of the denoised latent.
    if snr >= 1:
        torch.testing.assert_close(noise * snr, sample, rtol=1e-4, atol=0)
    else:
        assert sample == 1
        assert noise == 1


@pytest.mark.parametrize("prediction_type", ["v_prediction", "sample"])
def test_pure_noise_where_sampling_starts_is_trained(prediction_type: str) -> None:
    assert ZERO_TERMINAL[-1] == 0
    weights = min_snr_weight(ZERO_TERMINAL, EVERY_LEVEL, prediction_type, GAMMA)
    assert weights.shape == (1000,)
    assert weights[-1] == 1
    assert weights.isfinite().all()
    assert weights.max() <= GAMMA


def test_the_weight_of_noise_is_one_at_pure_noise() -> None:
    assert min_snr_weight(ZERO_TERMINAL, torch.tensor([999]), "epsilon", GAMMA) == 1
