"""Losses, each a small function or module with its formula."""

from retina_adapt.objectives.adaptation import (
    FRAME_DETAIL_SIGMA,
    latent_adaptation_loss,
    latent_preservation_loss,
    masked_absolute_error,
    masked_detail_error,
    masked_logarithmic_error,
)
from retina_adapt.objectives.adversarial import (
    AdversarialSettings,
    AdversarialSettingsError,
    AdversarialTerm,
    adaptive_weight,
)
from retina_adapt.objectives.diffusion import PredictionTypeError, diffusion_loss, diffusion_target, min_snr_weight
from retina_adapt.objectives.discriminator import (
    DiscriminatorSizeError,
    PatchDiscriminator,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from retina_adapt.objectives.perceptual import PerceptualDistance
from retina_adapt.objectives.reconstruction import absolute_error
from retina_adapt.objectives.structural import (
    ImageTooSmallError,
    multi_scale_structural_dissimilarity,
    structural_dissimilarity,
)

__all__ = [
    "FRAME_DETAIL_SIGMA",
    "AdversarialSettings",
    "AdversarialSettingsError",
    "AdversarialTerm",
    "DiscriminatorSizeError",
    "ImageTooSmallError",
    "PatchDiscriminator",
    "PerceptualDistance",
    "PredictionTypeError",
    "absolute_error",
    "adaptive_weight",
    "diffusion_loss",
    "diffusion_target",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "latent_adaptation_loss",
    "latent_preservation_loss",
    "masked_absolute_error",
    "masked_detail_error",
    "masked_logarithmic_error",
    "min_snr_weight",
    "multi_scale_structural_dissimilarity",
    "structural_dissimilarity",
]
