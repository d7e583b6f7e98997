"""One photograph's entry in a report: figures and compressed pictures, so that a large folder fits in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retina_adapt.imaging import FieldOfViewShape, find_field_of_view
from retina_adapt.report.inspection import Inspection, inspect_enhancement
from retina_adapt.report.pictures import (
    change_picture,
    data_address,
    shown_picture,
    uncertainty_picture,
    vessel_picture,
)
from retina_adapt.report.quality import Quality

LONGEST_SIDE = 1000
THUMBNAIL_SIDE = 88


@dataclass(frozen=True)
class ReportEntry:
    """One row of the report.

    Attributes:
        name: the photograph's name for readers: its path below the folder.
        adaptor: what enhanced it, for readers, e.g. "light" or "0.5 light + 0.5 haze".
        size: width and height of the original photograph in pixels.
        reasons: reasons for the warning; empty if there is none.
        quality_before, quality_after: see `Quality`.
        mean_change: mean absolute change in the field of view, in [0, 1].
        kept: share of the input's vessels that are still found, in [0, 1]; None if the input shows next to none.
        new, untraced: shares of the result's vessels, in [0, 1]; see `VesselOverlay`.
        uncertainty: mean over the field of view, in [0, 1]; None without several versions.
        pictures: `data:` addresses by what they show: thumbnail, before, after, change, vessels, uncertainty.
    """

    name: str
    adaptor: str
    size: tuple[int, int]
    reasons: tuple[str, ...]
    quality_before: Quality
    quality_after: Quality
    mean_change: float
    kept: float | None
    new: float
    untraced: float
    uncertainty: float | None
    pictures: dict[str, str]


def report_entry(
    name: str,
    before: np.ndarray,
    after: np.ndarray,
    *,
    adaptor: str,
    mask: np.ndarray | None = None,
    field_of_view: FieldOfViewShape = "auto",
    versions: Sequence[np.ndarray] = (),
) -> ReportEntry:
    """Inspect one enhancement and keep what the report shows of it.

    Args:
        name: the photograph's name for readers.
        before: the photograph's pixels, float (H, W, C), RGB (C=3) or grey (C=1), in [0, 1], of any size.
        after: the enhanced pixels, of the same shape.
        adaptor: what enhanced it, for readers.
        mask: the known field of view, bool (H, W); None looks for it.
        field_of_view: auto, circle or full_frame; see `find_field_of_view`.
        versions: results with different seeds, at least two, each as from `measured_frame`; without any, there is no
            uncertainty map.

    Raises:
        FieldOfViewError: no field of view is found.
        FrameError, ReportInputError: see `inspect_enhancement`.
    """
    found = find_field_of_view(before, name=name, mask=mask, field_of_view=field_of_view).mask
    inspection = inspect_enhancement(before, after, found, versions=versions)
    return ReportEntry(
        name=name,
        adaptor=adaptor,
        size=(before.shape[1], before.shape[0]),
        reasons=inspection.reasons,
        quality_before=inspection.quality_before,
        quality_after=inspection.quality_after,
        mean_change=inspection.mean_change,
        kept=inspection.kept,
        new=inspection.vessels.new_share,
        untraced=inspection.vessels.untraced_share,
        uncertainty=inspection.mean_uncertainty,
        pictures=_pictures(inspection, before, after),
    )


def _pictures(inspection: Inspection, before: np.ndarray, after: np.ndarray) -> dict[str, str]:
    pictures = {
        "thumbnail": shown_picture(after, THUMBNAIL_SIDE),
        "before": shown_picture(before, LONGEST_SIDE),
        "after": shown_picture(after, LONGEST_SIDE),
        "change": change_picture(inspection.change),
        "vessels": vessel_picture(inspection.vessels),
    }
    if inspection.uncertainty is not None:
        pictures["uncertainty"] = uncertainty_picture(inspection.uncertainty)
    return {name: data_address(picture) for name, picture in pictures.items()}
