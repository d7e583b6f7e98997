"""The adversarial term: reconstructions should look like originals to a discriminator that is trained alongside.

One optimiser trains both networks, with one backward pass through the sum of their losses. The discriminator's loss
sees the reconstruction detached, and the generator's loss sees the discriminator's parameters detached, so that neither
learns from the other's loss.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.objectives.discriminator import (
    PatchDiscriminator,
    hinge_discriminator_loss,
    hinge_generator_loss,
)

LARGEST_ADAPTIVE_WEIGHT = 1e4
ADAPTIVE_WEIGHT_DELTA = 1e-6


class AdversarialSettingsError(RetinaAdaptError):
    """A setting of the adversarial term that is out of range."""


@dataclass
class AdversarialSettings:
    """Settings of the adversarial term.

    Args:
        weight: weight of the generator's term relative to the reconstruction loss: 1 gives both gradients the same norm
            at the decoder's last layer. 0 leaves the term out.
        start_step: number of optimiser steps before the generator's term sets in; the discriminator learns from the
            first.
        base_channels: channels of the discriminator's first layer, a multiple of 8.
        layers: layers of the discriminator that halve the resolution; three make patches of 70 pixels.
    """

    weight: float = 0.0
    start_step: int = 0
    base_channels: int = 64
    layers: int = 3

    def __post_init__(self) -> None:
        for name in ("weight", "start_step"):
            if not getattr(self, name) >= 0:
                raise AdversarialSettingsError(f"adversarial.{name} is {getattr(self, name)}; it must not be negative")


class AdversarialTerm(nn.Module):
    """A discriminator, its loss and the generator's.

    Make it part of the training step's module, so that its parameters are trained with the others. All of them get a
    gradient at every step, as data-parallel training requires.

    Raises:
        DiscriminatorSizeError: see `PatchDiscriminator`.
    """

    def __init__(self, settings: AdversarialSettings, image_channels: int) -> None:
        super().__init__()
        self.settings = settings
        self.discriminator = PatchDiscriminator(image_channels, settings.base_channels, settings.layers)

    def forward(
        self,
        reconstructed: Tensor,
        target: Tensor,
        reconstruction_loss: Tensor,
        last_layer: nn.Parameter,
        step: Tensor | int,
    ) -> dict[str, Tensor]:
        """Two scalar losses, each to be added as it is to the loss to minimise.

        "generator": `weight` times the adaptive weight times the hinge loss of the reconstruction; 0 before the start
        step. "discriminator": its hinge loss. The adaptive weight depends only on this process's share of the batch.

        Args:
            reconstructed: (batch, channels, height, width), about in [0, 1], with gradient.
            target: the originals, the same shape.
            reconstruction_loss: scalar; what the generator's term is weighed against.
            last_layer: parameter of the last layer of the network that made `reconstructed`:
                `LatentAutoencoder.last_layer()`.
            step: number of optimiser steps done, e.g. the training loop's `batch["step"]`.
        """
        original_scores = self.discriminator(target).float()
        reconstructed_scores = self.discriminator(reconstructed.detach()).float()
        losses = {
            "generator": reconstructed_scores.new_zeros(()),
            "discriminator": hinge_discriminator_loss(original_scores, reconstructed_scores),
        }
        if step >= self.settings.start_step:
            generator_loss = hinge_generator_loss(self._scores_of_a_fixed_judge(reconstructed))
            weight = self.settings.weight * adaptive_weight(reconstruction_loss, generator_loss, last_layer)
            losses["generator"] = weight * generator_loss
        return losses

    def _scores_of_a_fixed_judge(self, reconstructed: Tensor) -> Tensor:
        """The discriminator's scores, with a gradient that reaches only the reconstruction."""
        detached = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        return torch.func.functional_call(self.discriminator, detached, (reconstructed,)).float()


def adaptive_weight(reconstruction_loss: Tensor, generator_loss: Tensor, last_layer: nn.Parameter) -> Tensor:
    """|gradient of the reconstruction loss| / (|gradient of the generator's loss| + 1e-6), at the last layer.

    A scalar without gradient, at most 1e4 (Esser et al. 2021, "Taming transformers", eq. 7; the bound is their code's).

    Args:
        reconstruction_loss, generator_loss: scalars that depend on `last_layer`.
    """
    reconstruction_norm, generator_norm = (
        torch.autograd.grad(loss, last_layer, retain_graph=True)[0].norm()
        for loss in (reconstruction_loss, generator_loss)
    )
    weight = reconstruction_norm / (generator_norm + ADAPTIVE_WEIGHT_DELTA)
    return weight.clamp(0, LARGEST_ADAPTIVE_WEIGHT).detach()
