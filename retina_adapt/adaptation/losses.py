"""What stage one of adaptation minimises: a weighted sum of losses on latents and on enhanced photographs."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from retina_adapt.configuration import ConfigurationError
from retina_adapt.objectives import (
    FRAME_DETAIL_SIGMA,
    masked_absolute_error,
    masked_detail_error,
    masked_logarithmic_error,
    structural_dissimilarity,
)


@dataclass
class AdaptationLossWeights:
    """Weights of stage one's losses; a term with weight 0 is not computed. The paper's are 1, 1, 0, 0, 0, 0.

    Args:
        latent_adaptation: weight of mean |E0(high) - Ea(low)|.
        latent_preservation: weight of mean |E0(high) - Ea(high)|, which keeps clear photographs as they are.
        pixel: weight of the absolute error between the enhanced low and the high photograph in the field of view.
            Decoder adaptors learn only from this term and the next three.
        structural: weight of 1 - SSIM between the enhanced low and the high photograph.
        logarithmic: weight of the logarithm of the squared error in the field of view: a decibel counts the same in a
            hardly and in a badly degraded photograph.
        detail: weight of the absolute error in what is finer than a Gaussian of 2 px of the frame, fine vessels above
            all.
    """

    latent_adaptation: float = 0.0
    latent_preservation: float = 0.0
    pixel: float = 10.0
    structural: float = 1.0
    logarithmic: float = 1.0
    detail: float = 300.0

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if not weight >= 0:
                raise ConfigurationError(f"loss_weights.{name} is {weight}; it must not be negative, and 0 is off")

    @property
    def on_latents(self) -> bool:
        """Whether the loss looks at latents."""
        return self.latent_adaptation > 0 or self.latent_preservation > 0

    @property
    def on_pictures(self) -> bool:
        """Whether the loss looks at enhanced photographs; adaptors in the decoder learn from nothing else.

        All weights but those of the latent terms are of such losses, also those that a subclass adds.
        """
        return any(weight > 0 for name, weight in vars(self).items() if not name.startswith("latent_"))


def picture_losses(
    enhanced: Tensor, batch: dict[str, Tensor], weights: AdaptationLossWeights, *, scale: int = 1
) -> dict[str, Tensor]:
    """Stage one's losses on enhanced photographs, by name, leaving out those with weight 0.

    Args:
        scale: side of the photographs, in sides of the backbone's frame.
    """
    detail_sigma = scale * FRAME_DETAIL_SIGMA
    terms: dict[str, Callable[[], Tensor]] = {
        "pixel": lambda: masked_absolute_error(enhanced, batch["high"], batch["mask"]),
        "structural": lambda: structural_dissimilarity(enhanced, batch["high"]),
        "logarithmic": lambda: masked_logarithmic_error(enhanced, batch["high"], batch["mask"]),
        "detail": lambda: masked_detail_error(enhanced, batch["high"], batch["mask"], sigma=detail_sigma),
    }
    return {name: term() for name, term in terms.items() if getattr(weights, name) > 0}


def weighted_sum(losses: dict[str, Tensor], weights: AdaptationLossWeights) -> dict[str, Tensor]:
    """The losses, and their weighted sum as "loss".

    Raises:
        ConfigurationError: there are no losses, so nothing to minimise.
    """
    if not losses:
        # A sum of nothing would be a number without gradients.
        raise ConfigurationError(
            "loss_weights: no loss is left; those on latents teach only adaptors in the encoder, and a second look has "
            "none: give a loss on pictures a weight"
        )
    return {"loss": sum(getattr(weights, name) * value for name, value in losses.items()), **losses}
