"""Random changes that keep a photograph plausible."""

from dataclasses import dataclass

import numpy as np

from retina_adapt.data.draws import random_generator

# Share of a channel's pixels that a change of white balance leaves below white.
NOT_CUT_OFF = 0.99


@dataclass(frozen=True)
class Flips:
    """Random mirroring, with probability one half in each direction.

    A horizontal flip turns a left eye into a right one, a vertical flip puts the upper vessel arcade below. Both give
    photographs that could have been taken: good for training, wrong for any output.

    Attributes:
        horizontal: exchange left and right.
        vertical: exchange top and bottom.
    """

    horizontal: bool = True
    vertical: bool = True

    def drawn(self, seed: int) -> tuple[bool, bool]:
        """Whether `seed` draws a horizontal flip, and whether a vertical one."""
        generator = random_generator(seed, "flips")
        # Both are always drawn: allowing one direction must not change what is drawn for the other.
        horizontal, vertical = generator.random(2) < 0.5
        return bool(self.horizontal and horizontal), bool(self.vertical and vertical)

    def apply(self, seed: int, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Flip (H, W) or (H, W, C) arrays alike, as drawn from `seed`; return views."""
        return mirrored(*self.drawn(seed), *arrays)


@dataclass(frozen=True)
class Tones:
    """Give an image the tone and the colours that another camera might have given it.

    First, pixels become pixels ** exp(u + v): black and white stay as they are, and nothing is cut off. Then each
    channel is multiplied by exp(w), or by less where that would cut off more than a hundredth of it at white. Finally,
    the difference of each channel from the pixel's mean is multiplied by exp(s).

    Attributes:
        tone: u, the same for all channels, is uniform in [-tone, tone].
        color: v, separate for each channel, is uniform in [-color, color].
        balance: w, separate for each channel, is uniform in [-balance, balance].
        saturation: s is uniform in [-saturation, saturation].
    """

    tone: float
    color: float
    balance: float = 0.0
    saturation: float = 0.0

    def apply(self, seed: int, image: np.ndarray) -> np.ndarray:
        """Change an image (H, W, C) in [0, 1] by the tones that `seed` draws; float32."""
        generator = random_generator(seed, "tone")
        channels = image.shape[-1]
        exponents = generator.uniform(-self.tone, self.tone)
        exponents = exponents + generator.uniform(-self.color, self.color, size=channels)
        toned = np.power(image, np.exp(exponents).astype(np.float32))
        if channels == 1 or not (self.balance or self.saturation):
            # Grey has neither white balance nor saturation.
            return toned
        gains = np.exp(generator.uniform(-self.balance, self.balance, size=channels))
        nearly_white = np.quantile(toned.reshape(-1, channels), NOT_CUT_OFF, axis=0).clip(1e-3)
        balanced = toned * np.minimum(gains, 1 / nearly_white).astype(np.float32)
        grey = balanced.mean(axis=-1, keepdims=True)
        saturation = np.float32(np.exp(generator.uniform(-self.saturation, self.saturation)))
        return (grey + saturation * (balanced - grey)).clip(0, 1)


def mirrored(horizontal: bool, vertical: bool, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Views of (H, W) or (H, W, C) arrays, all flipped alike."""
    if horizontal:
        arrays = tuple(array[:, ::-1] for array in arrays)
    if vertical:
        arrays = tuple(array[::-1] for array in arrays)
    return arrays
