"""Whether the two photographs of a pair show the same eye at the same place; losses compare them pixel by pixel."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.registration import phase_cross_correlation

# Vessels, in frames of 512 px: finer structure is lost to blur, and coarser structure says little about the place.
MEASURED_SIZE = 512
_FINE_SIGMA, _COARSE_SIGMA = 2.0, 16.0
# Near the rim, the filters reach into the mirrored surround, which is not tissue of this eye.
_RIM = 12
_STEPS_A_PIXEL = 4


@dataclass(frozen=True)
class Alignment:
    """How a low-quality photograph is shifted against the clear one.

    Attributes:
        down, right: its shift, in shares of the frame's side.
        likeness: correlation of the vessels once it is shifted back, in [0, 1]: about 0.1 for two different eyes, and
            from 0.3 (strongly blurred and noisy) to 1 for the same eye.
    """

    down: float
    right: float
    likeness: float

    @property
    def shift(self) -> float:
        """Length of the shift, in shares of the frame's side."""
        return math.hypot(self.down, self.right)


def measure_alignment(low: np.ndarray, high: np.ndarray, mask: np.ndarray) -> Alignment:
    """Find the shift at which the vessels of both correlate best; turns and changes of scale only lower the likeness.

    Illumination and haze hardly affect `vessels_inside`. See Guizar-Sicairos, Thurman and Fienup 2008, "Efficient
    subpixel image registration algorithms".

    Args:
        low, high: float32 (512, 512, C) in [0, 1], cut by the same square.
        mask: field of view of the clear photograph, bool (512, 512).
    """
    clear, other = (vessels_inside(image, mask) for image in (high, low))
    if not (clear.any() and other.any()):
        return Alignment(0.0, 0.0, 0.0)
    shift, error, _ = phase_cross_correlation(clear, other, upsample_factor=_STEPS_A_PIXEL, normalization=None)
    side = mask.shape[0]
    # The shift found moves `low` onto `high`; `low` lies the opposite way.
    return Alignment(-float(shift[0]) / side, -float(shift[1]) / side, math.sqrt(max(0.0, 1 - float(error) ** 2)))


def vessels_inside(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The green channel's band-pass, divided by its local strength: float (512, 512), 0 near the rim.

    Args:
        image, mask: as for `measure_alignment`.
    """
    inner = cv2.erode(mask.astype(np.uint8), np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8))
    green = image[:, :, image.shape[2] // 2]
    band = cv2.GaussianBlur(green, (0, 0), _FINE_SIGMA) - cv2.GaussianBlur(green, (0, 0), _COARSE_SIGMA)
    strength = np.sqrt(cv2.GaussianBlur(band**2, (0, 0), 2 * _COARSE_SIGMA))
    return band / (strength + 1e-3) * inner
