"""The two ways from a degraded frame to an enhanced one."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from retina_adapt.adaptors import adaptors_bypassed
from retina_adapt.backbones import ReconstructionBackbone, sample_latents
from retina_adapt.enhancement.errors import require_choice

EnhancementMode = Literal["fast", "diffusion"]

# The condition latent is a good estimate already: sampling starts from it at a quarter of the noise schedule, to keep
# more of the photograph than pure noise would.
SAMPLING_START = 0.25
DEFAULT_STEPS = 4


@torch.no_grad()
def enhance_frames(
    backbone: ReconstructionBackbone,
    low_images: Tensor,
    *,
    mode: EnhancementMode = "fast",
    steps: int = DEFAULT_STEPS,
    seeds: Sequence[int] | None = None,
    scheduler: str | None = None,
) -> Tensor:
    """Enhance frames with whatever adaptors are active on the backbone.

    `fast` is one pass through the adapted autoencoder. `diffusion` takes the adapted encoder's latent as the
    condition and samples with the adapted denoiser (Yang et al.), in `steps` sampling steps.

    Args:
        low_images: (batch, channels, height, width) in [0, 1], sides divisible by the backbone's `stride`, for
            `diffusion` by its `sampling_stride`.
        seeds: seeds of the noise for `diffusion`, one per image; zeros by default.
        scheduler: name of the diffusers scheduler for `diffusion`; the backbone's own by default.

    Returns:
        Enhanced images, the same shape, clamped to [0, 1].

    Raises:
        EnhancementInputError: there is no such mode.
        MissingDenoiserError, SamplingStepsError, UnknownSchedulerError: see `sample_latents`.
    """
    reconstruct = partial(
        reconstruct_frames, backbone, low_images, mode=mode, steps=steps, seeds=seeds, scheduler=scheduler
    )
    adapted = reconstruct()
    with adaptors_bypassed(backbone):
        # With the same seeds, what sampling adds by chance is much the same in both and cancels too.
        frozen = reconstruct()
    return apply_change(low_images, adapted, frozen).clamp(0, 1)


def reconstruct_frames(
    backbone: ReconstructionBackbone,
    images: Tensor,
    *,
    mode: EnhancementMode = "fast",
    steps: int = DEFAULT_STEPS,
    seeds: Sequence[int] | None = None,
    scheduler: str | None = None,
) -> Tensor:
    """Reconstruct images by the networks alone, with the active adaptors; the same shape, not clamped.

    Args:
        mode, steps, seeds, scheduler: as for `enhance_frames`.

    Raises:
        RetinaAdaptError: as `enhance_frames`.
    """
    require_choice("mode", mode, EnhancementMode)
    latents = backbone.encode(images)
    if mode == "diffusion":
        seeds = [0] * len(images) if seeds is None else seeds
        latents = sample_latents(backbone, latents, steps=steps, seeds=seeds, start=SAMPLING_START, scheduler=scheduler)
    return backbone.decode(latents)


def apply_change(low_images: Tensor, adapted: Tensor, frozen: Tensor) -> Tensor:
    """low + (adapted - frozen): only what the adaptor changes in a reconstruction is applied to the input.

    An autoencoder loses fine vessels whether adapted or not. The difference between the adapted and the frozen
    reconstruction does not contain that loss, so the input's own detail stays; where an adaptor changes nothing, the
    input comes out as it is.
    """
    return low_images + (adapted - frozen)
