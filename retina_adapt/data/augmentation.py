"""Random changes that keep a photograph plausible."""

from dataclasses import dataclass

import numpy as np

from retina_adapt.data.draws import random_generator


@dataclass(frozen=True)
class Flips:
    """Mirror images at random, each direction with probability one half.

    A horizontal flip turns a left eye into a right one, a vertical flip puts the upper vessel arcade below:
    both are photographs that could have been taken, good for training and wrong for any output.

    Attributes:
        horizontal: exchange left and right.
        vertical: exchange top and bottom.
    """

    horizontal: bool = True
    vertical: bool = True

    def apply(self, seed: int, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Flip (H, W) or (H, W, C) arrays alike, as drawn from `seed`; returns views."""
        generator = random_generator(seed, "flips")
        # Both are always drawn: allowing one direction must not change what is drawn for the other.
        draws_horizontal, draws_vertical = generator.random(2) < 0.5
        if self.horizontal and draws_horizontal:
            arrays = tuple(array[:, ::-1] for array in arrays)
        if self.vertical and draws_vertical:
            arrays = tuple(array[::-1] for array in arrays)
        return arrays
