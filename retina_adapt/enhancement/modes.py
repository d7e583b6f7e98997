"""The two ways from a degraded frame to an enhanced one."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from retina_adapt.adaptors import adaptors_bypassed
from retina_adapt.backbones import ReconstructionBackbone, sample_latents

EnhancementMode = Literal["fast", "diffusion"]


@torch.no_grad()
def enhance_frames(
    backbone: ReconstructionBackbone,
    low_images: Tensor,
    *,
    mode: EnhancementMode = "fast",
    steps: int = 4,
    seeds: Sequence[int] | None = None,
) -> Tensor:
    """Enhance frames with whatever adaptors are active on the backbone.

    `fast` is one pass through the adapted autoencoder. `diffusion` takes the adapted encoder's latent as the
    condition and samples from noise with the adapted denoiser (Yang et al.), in `steps` denoiser calls.

    Args:
        low_images: (batch, channels, height, width) in [0, 1], sides divisible by the backbone's stride.
        seeds: of the noise, one for each image, for `diffusion`; zeros by default.

    Returns:
        Enhanced images, the same shape, clamped to [0, 1].
    """
    latents = backbone.encode(low_images)
    if mode == "diffusion":
        row_seeds = [0] * len(low_images) if seeds is None else seeds
        latents = sample_latents(backbone, latents, steps=steps, seeds=row_seeds)
    return apply_change(low_images, backbone.decode(latents), frozen_reconstruction(backbone, low_images)).clamp(0, 1)


@torch.no_grad()
def frozen_reconstruction(backbone: ReconstructionBackbone, images: Tensor) -> Tensor:
    """The images as the frozen autoencoder reconstructs them, past any adaptor; the same shape."""
    with adaptors_bypassed(backbone):
        return backbone.decode(backbone.encode(images))


def apply_change(low_images: Tensor, decoded: Tensor, reconstructed: Tensor) -> Tensor:
    """low + (decoded - reconstructed): only what the adaptor changes is applied to the input.

    An autoencoder loses fine vessels whether adapted or not. The difference of the adapted and the frozen
    reconstruction does not hold that loss, so that the input's own detail stays; and where an adaptor changes
    nothing, the input comes out as it is.
    """
    return low_images + (decoded - reconstructed)
