"""What every function of this room requires of its arrays."""

import numpy as np

from retina_adapt.errors import RetinaAdaptError

ROUNDING_SLACK = 1e-3


class FrameError(RetinaAdaptError):
    """An image that cannot be evaluated, alone or together with a field-of-view mask."""


def require_picture(pixels: np.ndarray, *, role: str) -> None:
    """Check one image.

    Args:
        pixels: float array (H, W, C), RGB (C=3) or grey (C=1), values in [0, 1].
        role: what the message calls the image, for example "result".

    Raises:
        FrameError: another type or shape, or values that are not in [0, 1].
    """
    if not isinstance(pixels, np.ndarray):
        raise FrameError(
            f"the {role} is a {type(pixels).__name__}; give a NumPy array (height, width, channels) of floats in [0, 1]"
        )
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.size == 0:
        raise FrameError(f"the {role} has shape {pixels.shape}; give (height, width, 3) or (height, width, 1)")
    if not np.issubdtype(pixels.dtype, np.floating):
        raise FrameError(f"the {role} has type {pixels.dtype}; divide by the largest value to get float in [0, 1]")
    lowest, highest = float(pixels.min()), float(pixels.max())
    # Written so that a NaN, which compares as false, fails too.
    if not (lowest >= -ROUNDING_SLACK and highest <= 1 + ROUNDING_SLACK):
        raise FrameError(f"the {role} has values from {lowest:g} to {highest:g}; bring them into [0, 1] first")


def require_frame(pixels: np.ndarray, mask: np.ndarray, *, role: str) -> None:
    """Check one image against its field of view.

    Args:
        pixels, role: as for `require_picture`.
        mask: bool array (H, W), True inside the field of view.

    Raises:
        FrameError: an array has another shape or type, the mask is empty, or values are not in [0, 1].
    """
    require_picture(pixels, role=role)
    if not isinstance(mask, np.ndarray):
        raise FrameError(
            f"the field-of-view mask of the {role} is a {type(mask).__name__}; give an array, such as the attribute "
            "`mask` of what find_field_of_view returns"
        )
    if mask.dtype != np.bool_ or mask.shape != pixels.shape[:2]:
        raise FrameError(
            f"the field-of-view mask is {mask.dtype} of shape {mask.shape} and the {role} has shape "
            f"{pixels.shape}; give a bool mask of shape {pixels.shape[:2]}"
        )
    if not mask.any():
        raise FrameError(f"the field of view of the {role} is empty; check the mask with find_field_of_view")


def require_same_shape(result: np.ndarray, target: np.ndarray) -> None:
    """Raise `FrameError` unless both images have the same height, width and channels."""
    if result.shape != target.shape:
        raise FrameError(
            f"the result has shape {result.shape} and the target {target.shape}; bring both to one frame and "
            "one number of channels before scoring"
        )
