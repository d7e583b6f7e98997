"""What an enhancement did to a photograph, and whether to trust it: maps, measures, warnings and an HTML page."""

from retina_adapt.report.entry import ReportEntry, report_entry
from retina_adapt.report.errors import ReportInputError, ReportWriteError
from retina_adapt.report.identity import ModelIdentity, identify_adaptor, identify_backbone
from retina_adapt.report.inspection import Inspection, StructureBounds, inspect_enhancement
from retina_adapt.report.maps import VesselOverlay, change_map, uncertainty_map, vessel_overlay
from retina_adapt.report.page import require_report_path, write_report
from retina_adapt.report.quality import MEASURED_DIAMETER, Quality, measure_quality, measured_frame

__all__ = [
    "MEASURED_DIAMETER",
    "Inspection",
    "ModelIdentity",
    "Quality",
    "ReportEntry",
    "ReportInputError",
    "ReportWriteError",
    "StructureBounds",
    "VesselOverlay",
    "change_map",
    "identify_adaptor",
    "identify_backbone",
    "inspect_enhancement",
    "measure_quality",
    "measured_frame",
    "report_entry",
    "require_report_path",
    "uncertainty_map",
    "vessel_overlay",
    "write_report",
]
