"""Maps of an enhancement: where it changed the picture, which vessels it kept, where sampling is uncertain."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from retina_adapt.evaluation.frame import require_frame, require_same_shape
from retina_adapt.evaluation.structure import match_tolerance, vessel_response, vessels_of_response
from retina_adapt.report.errors import ReportInputError

# In local standard deviations, as from `vessel_response`; vessels are found from 0.21 on. Chosen on 16 clear
# training photographs at 512 px: docs/trust.md.
FAINTEST_TRACE = 0.1


@dataclass(frozen=True, eq=False)
class VesselOverlay:
    """The vessels of an input and of its enhanced image, sorted by what became of them; bool arrays (H, W).

    A vessel counts as the same in both images if it moved by no more than 0.4 % of the field of view's diameter, or by
    one pixel.

    Attributes:
        kept: vessels of the enhanced image that the input shows too.
        new: vessels of the enhanced image that are not found in the input.
        untraced: those of `new` where the input has not even a faint dark line: the network may have made them up. The
            rest of `new` was there, but too pale to be found.
        lost: vessels of the input that are not found in the enhanced image.
        before: all vessels of the input.
    """

    kept: np.ndarray
    new: np.ndarray
    untraced: np.ndarray
    lost: np.ndarray
    before: np.ndarray

    @property
    def lost_share(self) -> float:
        """Lost vessels as a share of the input's, by area, in [0, 1]; 0 if it has none."""
        return _share(self.lost, self.before)

    @property
    def kept_share(self) -> float:
        """Share of the input's vessels that are still found, 1 - `lost_share`."""
        return 1 - self.lost_share

    @property
    def new_share(self) -> float:
        """New vessels as a share of the enhanced image's, by area, in [0, 1]; 0 if it has none."""
        return _share(self.new, self.kept | self.new)

    @property
    def untraced_share(self) -> float:
        """Untraced vessels as a share of the enhanced image's, by area, in [0, 1]; 0 if it has none."""
        return _share(self.untraced, self.kept | self.new)


def change_map(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Enhanced minus input, averaged over the colours: float32 (H, W) in [-1, 1], positive where it became brighter.

    Args:
        before: float array (H, W, C), values in [0, 1].
        after: the same shape and range.

    Raises:
        FrameError: the shapes differ.
    """
    require_same_shape(after, before)
    return (after.astype(np.float32) - before.astype(np.float32)).mean(axis=2)


def vessel_overlay(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> VesselOverlay:
    """Find the vessels of both images with a filter that has no learned weights, and sort them.

    Args:
        before: float array (H, W, C), RGB (C=3) or grey (C=1), values in [0, 1].
        after: the same shape and range.
        mask: bool array (H, W), True inside the field of view.

    Raises:
        FrameError: shapes differ, the mask is empty, or values leave [0, 1].
    """
    require_same_shape(after, before)
    before_response, after_response = vessel_response(before, mask), vessel_response(after, mask)
    before_vessels, after_vessels = (
        vessels_of_response(response, mask) for response in (before_response, after_response)
    )
    tolerance = match_tolerance(mask)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1, 2 * tolerance + 1))
    new = after_vessels & ~_widened(before_vessels, disc)
    return VesselOverlay(
        kept=after_vessels & ~new,
        new=new,
        untraced=new & (cv2.dilate(before_response, disc) < FAINTEST_TRACE),
        lost=before_vessels & ~_widened(after_vessels, disc),
        before=before_vessels,
    )


def uncertainty_map(versions: Sequence[np.ndarray]) -> np.ndarray:
    """How far enhanced versions of one photograph, made with different seeds, differ.

    The standard deviation over the versions (with Bessel's correction), averaged over the colours: float32 (H, W),
    0 where all agree. It shows what depends on chance in sampling, but not the errors that all versions share.

    Args:
        versions: at least two float arrays (H, W, C) of equal shape, values in [0, 1].

    Raises:
        ReportInputError: fewer than two versions.
        FrameError: the shapes differ.
    """
    if len(versions) < 2:
        raise ReportInputError(
            f"uncertainty needs at least two versions of a photograph, {len(versions)} given; enhance it with "
            "several seeds in the mode diffusion"
        )
    for version in versions[1:]:
        require_same_shape(version, versions[0])
    return np.std(np.stack(versions).astype(np.float32), axis=0, ddof=1).mean(axis=2)


def require_pair(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> None:
    """Raise `FrameError` unless the two images and the mask can be compared."""
    require_same_shape(after, before)
    require_frame(before, mask, role="input")
    require_frame(after, mask, role="enhanced image")


def _widened(vessels: np.ndarray, disc: np.ndarray) -> np.ndarray:
    return cv2.dilate(vessels.astype(np.uint8), disc).astype(bool)


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else 0.0
