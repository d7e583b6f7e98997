"""The router's network: filters at five scales, and how strongly each responds over the whole frame."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# A photograph's finest detail is a hundred times fainter than its shading. These factors bring each band, from fine to
# coarse, to a standard deviation of about 1 on the examples of recipes/train_router.py.
_BAND_GAINS = (150.0, 110.0, 80.0, 55.0, 37.0)
# Below the bands remain 8 x 8 pixels of a 256 px frame: its light. Mean and deviation are measured on these examples.
_REMAINDER_MEAN, _REMAINDER_DEVIATION = 0.33, 0.25
# Keeps the logarithm finite for a uniform frame.
_SMALLEST_DEVIATION = 1e-2


class FaultNetwork(nn.Module):
    """Class scores and severity of a frame.

    A fault shows in the statistics of a frame rather than at one place: blur as little energy in fine detail, noise as
    much, haze as little at all scales, spots as a few strong responses. So each of five levels halves the resolution,
    takes in the band of detail that its scale adds (a Laplacian pyramid with 2 x 2 means, after Burt and Adelson 1983),
    and passes the means of its features and the logarithms of their standard deviations to the classifier, which also
    sees the frame's light on a coarse grid. Nothing is normalised in between: that would remove what is to be measured.

    Args:
        classes: number of classes.
        image_size: side of the frames in pixels, divisible by 32.
        channels: number of features in each of the five levels, from fine to coarse.
        hidden_features: number of features in the layer between the statistics and the classes.
    """

    def __init__(
        self,
        classes: int,
        image_size: int = 256,
        channels: Sequence[int] = (16, 32, 48, 48, 48),
        hidden_features: int = 64,
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        previous = 0
        for count in channels:
            self.levels.append(_Level(previous + 3, count, is_refined=previous > 0))
            previous = count
        remainder = 3 * (image_size // 2 ** len(channels)) ** 2
        self.hidden = nn.Linear(2 * sum(channels) + remainder, hidden_features)
        self.class_scores = nn.Linear(hidden_features, classes)
        self.severity = nn.Linear(hidden_features, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge frames.

        Args:
            images: float (batch, 3, image_size, image_size) in [0, 1].

        Returns:
            Logits (batch, classes), and severities (batch,) in [0, 1].
        """
        remainder, features, statistics = images, images[:, :0], []
        for level, gain in zip(self.levels, _BAND_GAINS, strict=True):
            shrunk = F.avg_pool2d(remainder, 2)
            band = remainder - F.interpolate(shrunk, scale_factor=2)
            features = level(torch.cat([features, gain * band], dim=1))
            statistics += [features.mean((2, 3)), (features.std((2, 3)) + _SMALLEST_DEVIATION).log()]
            features = F.silu(features)
            remainder = shrunk
        statistics.append(((remainder - _REMAINDER_MEAN) / _REMAINDER_DEVIATION).flatten(1))
        hidden = F.silu(self.hidden(torch.cat(statistics, dim=1)))
        return self.class_scores(hidden), self.severity(hidden)[:, 0].sigmoid()


class _Level(nn.Module):
    """Halve the resolution, then apply a residual convolution, except at the first level, where it would cost most."""

    def __init__(self, inputs: int, outputs: int, *, is_refined: bool) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.refine = nn.Conv2d(outputs, outputs, 3, padding=1) if is_refined else None

    def forward(self, features: Tensor) -> Tensor:
        features = self.down(features)
        return features if self.refine is None else features + self.refine(F.silu(features))
