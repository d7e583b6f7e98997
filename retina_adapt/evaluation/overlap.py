"""How far two vessel maps overlap: by area, and along the vessels."""

import numpy as np
from skimage.morphology import skeletonize

from retina_adapt.evaluation.frame import FrameError


def dice(found: np.ndarray, expected: np.ndarray) -> float:
    """2 |found and expected| / (|found| + |expected|), in [0, 1]; 1 if both are empty.

    Args:
        found, expected: bool (H, W).

    Raises:
        FrameError: shapes differ, or a map is not bool.
    """
    _require_maps(found, expected)
    total = int(found.sum()) + int(expected.sum())
    return 2 * int((found & expected).sum()) / total if total else 1.0


def centerline_dice(found: np.ndarray, expected: np.ndarray) -> float:
    """clDice (Shit et al. 2021), in [0, 1]: thin vessels weigh as much as wide ones.

    The harmonic mean of the share of the found centre line that lies in the expected vessels, and the share of the
    expected centre line that lies in the found ones.

    Args:
        found, expected: bool (H, W).

    Raises:
        FrameError: shapes differ, or a map is not bool.
    """
    _require_maps(found, expected)
    if not (found.any() and expected.any()):
        return float(not found.any() and not expected.any())
    precision = expected[skeletonize(found)].mean()
    sensitivity = found[skeletonize(expected)].mean()
    return float(2 * precision * sensitivity / (precision + sensitivity)) if precision + sensitivity else 0.0


def _require_maps(found: np.ndarray, expected: np.ndarray) -> None:
    if found.shape != expected.shape or found.ndim != 2:
        raise FrameError(f"two vessel maps must have one shape (height, width), not {found.shape} and {expected.shape}")
    for vessels in (found, expected):
        # Counted as they are, the 255 of a mask file would weigh as 255 pixels.
        if vessels.dtype != np.bool_:
            raise FrameError(
                f"a vessel map must be bool, not {vessels.dtype}; compare it with a threshold, such as map > 0"
            )
