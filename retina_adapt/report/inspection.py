"""Inspect one enhancement: maps, quality before and after, and whether a warning is due."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retina_adapt.report.maps import (
    VesselOverlay,
    change_map,
    require_pair,
    uncertainty_map,
    vessel_overlay,
)
from retina_adapt.report.quality import Quality, measure_quality, measured_frame

# Share of the field of view: with fewer vessels in the input, there is nothing to compare the result with.
FEWEST_VESSELS = 0.005


@dataclass(frozen=True)
class StructureBounds:
    """How much of the vessels may change before a warning; docs/trust.md says how the defaults were chosen.

    Attributes:
        lost: largest share, in [0, 1], of the input's vessels that may be missing in the result.
        untraced: largest share, in [0, 1], of the result's vessels that may lie where the input shows no trace of one.
    """

    lost: float = 0.15
    untraced: float = 0.06


@dataclass(frozen=True, eq=False)
class Inspection:
    """One enhancement, measured at one scale.

    Attributes:
        before, after: the measured images, float32 (H, W, C) in [0, 1].
        mask: their field of view, bool (H, W).
        change: see `change_map`.
        vessels: see `vessel_overlay`.
        uncertainty: see `uncertainty_map`; None without several versions.
        quality_before, quality_after: see `Quality`.
        reasons: why the result must be compared with the original; empty if no warning is due.
    """

    before: np.ndarray
    after: np.ndarray
    mask: np.ndarray
    change: np.ndarray
    vessels: VesselOverlay
    uncertainty: np.ndarray | None
    quality_before: Quality
    quality_after: Quality
    reasons: tuple[str, ...]

    @property
    def mean_change(self) -> float:
        """Mean absolute change inside the field of view, in [0, 1]."""
        return float(np.abs(self.change)[self.mask].mean())

    @property
    def kept(self) -> float | None:
        """Share of the input's vessels that are still found, in [0, 1]; None if the input shows next to none."""
        return self.vessels.kept_share if _shows_vessels(self.vessels, self.mask) else None

    @property
    def mean_uncertainty(self) -> float | None:
        """Mean of the uncertainty map inside the field of view, in [0, 1]; None without several versions."""
        return None if self.uncertainty is None else float(self.uncertainty[self.mask].mean())


def inspect_enhancement(
    before: np.ndarray,
    after: np.ndarray,
    mask: np.ndarray,
    *,
    versions: Sequence[np.ndarray] = (),
    bounds: StructureBounds | None = None,
) -> Inspection:
    """Compare a photograph with its enhanced image.

    Args:
        before: the photograph, float array (H, W, C), RGB (C=3) or grey (C=1), values in [0, 1], of any size.
        after: the enhanced image, of the same shape.
        mask: its field of view, bool (H, W).
        versions: results with different seeds, at least two, each as from `measured_frame`, so that they need not all
            be kept at full size; without any, there is no uncertainty map.
        bounds: bounds of the warning; the defaults if None.

    Raises:
        FrameError: the arrays cannot be compared.
        ReportInputError: there is only one version.
    """
    require_pair(before, after, mask)
    bounds = bounds or StructureBounds()
    measured_before, measured_mask = measured_frame(before, mask)
    measured_after, _ = measured_frame(after, mask)
    vessels = vessel_overlay(measured_before, measured_after, measured_mask)
    uncertainty = uncertainty_map(versions) if versions else None
    return Inspection(
        before=measured_before,
        after=measured_after,
        mask=measured_mask,
        change=change_map(measured_before, measured_after),
        vessels=vessels,
        uncertainty=uncertainty,
        quality_before=measure_quality(measured_before, measured_mask),
        quality_after=measure_quality(measured_after, measured_mask),
        reasons=_reasons(vessels, measured_mask, bounds),
    )


def _reasons(vessels: VesselOverlay, mask: np.ndarray, bounds: StructureBounds) -> tuple[str, ...]:
    reasons = []
    if not _shows_vessels(vessels, mask):
        reasons.append("the input shows next to no vessels, so that preserved structure cannot be checked")
    if vessels.lost_share > bounds.lost:
        reasons.append(
            f"{100 * vessels.lost_share:.0f} % of the input's vessels are lost; the bound is {100 * bounds.lost:g} %"
        )
    if vessels.untraced_share > bounds.untraced:
        reasons.append(
            f"{100 * vessels.untraced_share:.0f} % of the result's vessels have no trace in the input; "
            f"the bound is {100 * bounds.untraced:g} %"
        )
    return tuple(reasons)


def _shows_vessels(vessels: VesselOverlay, mask: np.ndarray) -> bool:
    """Whether the input shows enough vessels to compare a result with."""
    return bool(vessels.before.sum() >= FEWEST_VESSELS * mask.sum())
