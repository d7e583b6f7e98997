"""A discriminator that judges patches."""

import torch.nn.functional as F
from torch import Tensor, nn

from retina_adapt.errors import RetinaAdaptError

NORMALIZATION_GROUPS = 8
KERNEL_SIZE = 4
NEGATIVE_SLOPE = 0.2


class DiscriminatorSizeError(RetinaAdaptError):
    """A discriminator that cannot be built as configured, or an image too small for it."""


class PatchDiscriminator(nn.Module):
    """A network that scores overlapping patches: high if original, low if reconstructed (Isola et al. 2017).

    `layers` convolutions halve the resolution and double the channels (at most 8 times the first ones); two more follow
    at that resolution. GroupNorm replaces the paper's BatchNorm, so that an image's scores depend on this image alone,
    whatever the batch. As in the paper, the first layer is not normalised.

    Args:
        image_channels: channels of the images.
        base_channels: channels of the first layer; a multiple of 8.
        layers: at least 1; three make patches of 70 pixels.

    Raises:
        DiscriminatorSizeError: `base_channels` or `layers` is out of range.
    """

    def __init__(self, image_channels: int, base_channels: int = 64, layers: int = 3) -> None:
        super().__init__()
        if base_channels < 1 or base_channels % NORMALIZATION_GROUPS or layers < 1:
            raise DiscriminatorSizeError(
                f"a discriminator of base_channels {base_channels} and layers {layers} cannot be built: give a "
                f"multiple of {NORMALIZATION_GROUPS} channels and at least one layer"
            )
        self.shortest_side = 3 * 2**layers
        widths = [base_channels * min(2**index, 8) for index in range(layers + 1)]
        blocks: list[nn.Module] = [nn.Conv2d(image_channels, widths[0], KERNEL_SIZE, stride=2, padding=1)]
        for index in range(1, layers + 1):
            stride = 2 if index < layers else 1
            blocks += [
                nn.LeakyReLU(NEGATIVE_SLOPE),
                nn.Conv2d(widths[index - 1], widths[index], KERNEL_SIZE, stride=stride, padding=1, bias=False),
                nn.GroupNorm(NORMALIZATION_GROUPS, widths[index]),
            ]
        blocks += [nn.LeakyReLU(NEGATIVE_SLOPE), nn.Conv2d(widths[-1], 1, KERNEL_SIZE, padding=1)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """One score per patch, any real number.

        Args:
            images: (batch, image_channels, height, width) in [0, 1], sides at least 3 * 2^layers.

        Returns:
            (batch, 1, height / 2^layers - 2, width / 2^layers - 2), rounded down.

        Raises:
            DiscriminatorSizeError: the images are smaller.
        """
        if min(images.shape[-2:]) < self.shortest_side:
            raise DiscriminatorSizeError(
                f"the discriminator judges images of at least {self.shortest_side} px a side, not "
                f"{images.shape[-2]} x {images.shape[-1]}; give it fewer layers, or larger crops"
            )
        return self.blocks(images * 2 - 1)


def hinge_discriminator_loss(original_scores: Tensor, reconstructed_scores: Tensor) -> Tensor:
    """(mean max(0, 1 - original) + mean max(0, 1 + reconstructed)) / 2 (Lim and Ye 2017, "Geometric GAN", halved)."""
    return 0.5 * (F.relu(1 - original_scores).mean() + F.relu(1 + reconstructed_scores).mean())


def hinge_generator_loss(reconstructed_scores: Tensor) -> Tensor:
    """- mean of the scores (the generator's side of the hinge loss)."""
    return -reconstructed_scores.mean()
