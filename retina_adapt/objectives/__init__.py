"""Losses, each a small pure function with its formula."""

from retina_adapt.objectives.adaptation import (
    latent_adaptation_loss,
    latent_preservation_loss,
    masked_absolute_error,
)
from retina_adapt.objectives.diffusion import PredictionTypeError, diffusion_loss, diffusion_target
from retina_adapt.objectives.reconstruction import absolute_error, kl_divergence
from retina_adapt.objectives.structural import structural_dissimilarity

__all__ = [
    "PredictionTypeError",
    "absolute_error",
    "diffusion_loss",
    "diffusion_target",
    "kl_divergence",
    "latent_adaptation_loss",
    "latent_preservation_loss",
    "masked_absolute_error",
    "structural_dissimilarity",
]
