"""Sampling with every scheduler: a denoiser that knows the clean latent gives it back; all noise is from the seeds."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from retina_adapt.backbones import (
    SCHEDULER_CLASSES,
    BackboneShape,
    HookPoint,
    LatentDenoiser,
    NoiseSchedule,
    ReconstructionBackbone,
    SamplingStepsError,
    SeedCountError,
    UnknownSchedulerError,
    build_backbone,
    sample_latents,
)

every_scheduler = pytest.mark.parametrize("scheduler", SCHEDULER_CLASSES)
every_start = pytest.mark.parametrize("start", [1.0, 0.25])
every_schedule = pytest.mark.parametrize(
    ("prediction_type", "zero_terminal_snr"),
    [("sample", True), ("v_prediction", True), ("v_prediction", False), ("epsilon", False)],
)


class Oracle(LatentDenoiser, nn.Module):
    """Knows that the clean latent is the condition, and predicts accordingly."""

    def __init__(self, alphas_cumprod: Tensor, prediction_type: str) -> None:
        super().__init__()
        self.alphas_cumprod = alphas_cumprod
        self.prediction_type = prediction_type

    def denoise(self, noisy_latents: Tensor, timesteps: Tensor, condition_latents: Tensor) -> Tensor:
        if self.prediction_type == "sample":
            return condition_latents
        # A timestep without fraction, at every scheduler: the noise levels are those of training.
        assert timesteps == timesteps.long()
        level = self.alphas_cumprod[timesteps.long()]
        alpha, sigma = level.sqrt(), (1 - level).sqrt()
        noise = (noisy_latents - alpha * condition_latents) / sigma
        return noise if self.prediction_type == "epsilon" else alpha * noise - sigma * condition_latents

    def hook_points(self) -> list[HookPoint]:
        return []


def backbone_of(shape: BackboneShape, **schedule: object) -> ReconstructionBackbone:
    torch.manual_seed(0)
    shape = replace(shape, noise_schedule=NoiseSchedule(**schedule))
    return build_backbone(shape).eval().requires_grad_(False)


def latents_like_those_of_images() -> Tensor:
    return torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(3))


# Steps that divide the noise schedule's thousand, steps that do not, and, from a quarter of it, more than 50 in all.
@pytest.mark.parametrize("steps", [2, 7, 14])
@every_schedule
@every_start
@every_scheduler
def test_a_denoiser_that_knows_the_clean_latent_gives_it_back(
    scheduler: str, start: float, prediction_type: str, zero_terminal_snr: bool, steps: int, toy_shape: BackboneShape
) -> None:
    backbone = backbone_of(toy_shape, prediction_type=prediction_type, zero_terminal_snr=zero_terminal_snr)
    backbone.denoiser = Oracle(backbone.scheduler.alphas_cumprod, prediction_type)
    condition = latents_like_those_of_images()
    sampled = sample_latents(backbone, condition, steps=steps, seeds=[1, 2], start=start, scheduler=scheduler)
    torch.testing.assert_close(sampled, condition, rtol=0, atol=1e-3)


@every_start
@every_scheduler
def test_an_untrained_denoiser_that_predicts_the_change_returns_its_condition(
    scheduler: str, start: float, toy_shape: BackboneShape
) -> None:
    backbone = backbone_of(toy_shape, prediction_type="sample", predicts_change=True)
    condition = latents_like_those_of_images()
    for steps in (1, 3):
        sampled = sample_latents(backbone, condition, steps=steps, seeds=[1, 2], start=start, scheduler=scheduler)
        torch.testing.assert_close(sampled, condition, rtol=0, atol=1e-3)


@every_scheduler
def test_all_noise_of_a_row_is_from_its_seed(scheduler: str, toy_shape: BackboneShape) -> None:
    backbone, condition = backbone_of(toy_shape), latents_like_those_of_images()

    def sample(rows: slice, *seeds: int) -> Tensor:
        return sample_latents(backbone, condition[rows], steps=3, seeds=seeds, start=0.5, scheduler=scheduler)

    torch.manual_seed(1)
    together = sample(slice(None), 5, 6)
    torch.manual_seed(2)
    assert torch.equal(sample(slice(None), 5, 6), together)
    # Convolutions of another batch may sum in another order.
    torch.testing.assert_close(sample(slice(1, 2), 6), together[1:], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(sample(slice(None), 7, 8), together, atol=1e-2)


def test_later_noise_is_not_the_first_noise_again(toy_shape: BackboneShape) -> None:
    backbone = backbone_of(toy_shape, prediction_type="epsilon", zero_terminal_snr=False)
    seen: list[Tensor] = []

    def denoise(noisy: Tensor, _timesteps: Tensor, condition: Tensor) -> Tensor:
        seen.append(noisy)
        return torch.zeros_like(condition)

    backbone.denoiser.denoise = denoise
    sample_latents(backbone, torch.zeros(1, 4, 16, 16), steps=2, seeds=[1], scheduler="DDPMScheduler")
    first = seen[0].flatten()
    # What the first step adds to a multiple of its input.
    added = seen[1].flatten() - first * (first @ seen[1].flatten()) / (first @ first)
    assert added.std() > 0.1


@pytest.mark.parametrize("name", ["DDIMScheduler", None])
def test_naming_the_backbones_own_scheduler_changes_nothing(name: str | None, toy_shape: BackboneShape) -> None:
    backbone, condition = backbone_of(toy_shape), latents_like_those_of_images()
    own = sample_latents(backbone, condition, steps=3, seeds=[1, 2])
    assert torch.equal(sample_latents(backbone, condition, steps=3, seeds=[1, 2], scheduler=name), own)


@every_scheduler
def test_sampling_says_nothing_and_runs_in_half_precision(
    scheduler: str, toy_shape: BackboneShape, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("diffusers"), "propagate", True)
    backbone = backbone_of(toy_shape).to(torch.bfloat16)
    condition = latents_like_those_of_images().bfloat16()
    for start in (1.0, 0.25):
        sampled = sample_latents(backbone, condition, steps=3, seeds=[1, 2], start=start, scheduler=scheduler)
        assert sampled.dtype == torch.bfloat16
        assert sampled.isfinite().all()
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("PNDMScheduler", "diffusers' PNDMScheduler is not supported.*prediction types"),
        ("FlowMatchEulerDiscreteScheduler", "not supported.*use one of DDIMScheduler"),
        ("EulerDescreteScheduler", "no scheduler is named.*did you mean 'EulerDiscreteScheduler'"),
        ("os.system", "no scheduler is named 'os.system'; known are"),
        ("UNet2DModel", "no scheduler is named"),
    ],
)
def test_a_scheduler_that_cannot_be_used_says_whether_it_exists(
    name: str, reason: str, toy_backbone: ReconstructionBackbone
) -> None:
    with pytest.raises(UnknownSchedulerError, match=reason):
        sample_latents(toy_backbone, latents_like_those_of_images(), steps=2, seeds=[1, 2], scheduler=name)


@pytest.mark.parametrize(
    ("steps", "start", "reason"),
    [
        (0, 1.0, "0 sampling steps"),
        (2, 0.0, "start is 0"),
        (2, 1.5, "start is 1.5"),
        (600, 0.5, "of a noise schedule of 1000"),
    ],
)
def test_steps_that_the_noise_schedule_does_not_have_are_refused(
    steps: int, start: float, reason: str, toy_backbone: ReconstructionBackbone
) -> None:
    with pytest.raises(SamplingStepsError, match=reason):
        sample_latents(toy_backbone, latents_like_those_of_images(), steps=steps, seeds=[1, 2], start=start)


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3]])
def test_rows_do_not_share_a_seed_unasked(seeds: list[int], toy_backbone: ReconstructionBackbone) -> None:
    for start in (1.0, 0.5):
        with pytest.raises(SeedCountError, match=rf"{len(seeds)} seeds for a batch of 2; .*range\(2\)"):
            sample_latents(toy_backbone, latents_like_those_of_images(), steps=2, seeds=seeds, start=start)
