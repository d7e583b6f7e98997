"""Apply a change that a network made at a small size to the photograph at its own size.

The network sees a small copy. What it changes there, enlarged, is right for everything that the copy shows; finer
detail is only in the photograph. Left as it is, that detail would be too faint: haze and shade take as much contrast
from fine vessels as from wide ones. So the detail gets the gain in contrast that the network gave its surroundings in
the copy: a local linear model of the change, as in the guided filter (He, Sun, Tang 2013) and in bilateral guided
upsampling (Chen et al. 2016). The result is a multiple of the photograph's own detail: nothing is drawn that was not
there.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np

from retina_adapt.enhancement.resampling import enlarge_rows

Detail = Literal["kept", "guided", "fine", "tiles"]

# Found on full-size photographs; see docs/enhancing.md.
_GAIN_RADIUS = 2.0  # pixels of the small copy: standard deviation of the Gaussian window
_GAIN_REGULARIZATION = 1e-5  # variance below which contrast counts as noise, in units of squared intensity
_LEAST_GAIN, _MOST_GAIN = -0.5, 3.0


@dataclass(frozen=True, eq=False)
class SmallChange:
    """What a network changed in a small copy of a photograph.

    Attributes:
        low: the copy, float32 (n, n, C) in [0, 1].
        change: enhanced minus low, float32 (n, n, C).
        follow_detail: whether finer detail of the photograph gets the change's local gain.
        tile_side: side of the tiles of the closer look, see `Enhancement.tile_size`; None if the network saw only the
            frame.
    """

    low: np.ndarray
    change: np.ndarray
    follow_detail: bool = True
    tile_side: int | None = None

    def at_rows(self, pixels: np.ndarray, side: int, start: int, stop: int, columns: slice = slice(None)) -> np.ndarray:
        """The change of a band of the photograph's square.

        Args:
            pixels: float32 (stop - start, columns, C), the square's own pixels there.
            side: side of the square.
        """
        if not self.follow_detail:
            return enlarge_rows(self.change, side, start, stop, columns)
        channels = self.low.shape[2]
        enlarged = enlarge_rows(self._stacked, side, start, stop, columns)
        change, low, gain = np.split(enlarged, [channels, 2 * channels], axis=2)
        return change + gain * (pixels - low)

    def followed_by(self, further: "SmallChange") -> "SmallChange":
        """This change, followed by a further change of its result, as one change of this one's copy."""
        return dataclasses.replace(further, low=self.low, change=further.low + further.change - self.low)

    @cached_property
    def _stacked(self) -> np.ndarray:
        return np.concatenate([self.change, self.low, local_gain(self.low, self.change)], axis=2)


def local_gain(low: np.ndarray, change: np.ndarray) -> np.ndarray:
    """How much the change adds to local contrast, as a share of it: float32 (n, n, 1).

    The slope of the least-squares line change = slope * low + offset over a Gaussian window, one for all channels (the
    noise of the dark blue channel would make false colours). 0 where nothing changed.
    """
    covariance = _windowed_covariance(low, change)
    variance = _windowed_covariance(low, low)
    slope = covariance / (variance.clip(0) + _GAIN_REGULARIZATION)
    return slope.clip(_LEAST_GAIN, _MOST_GAIN)[:, :, None].astype(np.float32)


def _windowed_covariance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean over channels of the covariance in the window around each pixel, (n, n)."""
    covariance = smooth(one * other, _GAIN_RADIUS) - smooth(one, _GAIN_RADIUS) * smooth(other, _GAIN_RADIUS)
    return covariance.mean(axis=2)


def smooth(pixels: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian blur of (n, n, C) with this standard deviation in pixels, mirrored at the border."""
    blurred = cv2.GaussianBlur(pixels, (0, 0), deviation, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(pixels.shape)
