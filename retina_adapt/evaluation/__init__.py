"""How good is an enhanced image? Scores in the field of view, vessel preservation, a baseline and reports."""

from retina_adapt.evaluation.clahe import ClaheOptionError, apply_clahe
from retina_adapt.evaluation.frame import FrameError
from retina_adapt.evaluation.metrics import SCORING_PROTOCOL, ImageScores, psnr_and_ssim, score_image
from retina_adapt.evaluation.overlap import centerline_dice, dice
from retina_adapt.evaluation.picture_sheet import PictureRow, PictureSheetError, write_picture_sheet
from retina_adapt.evaluation.report import EvaluationReport, MeanAndDeviation, ReportError, ReportRow, Summary
from retina_adapt.evaluation.structure import VesselAgreement, vessel_agreement, vessel_map

__all__ = [
    "SCORING_PROTOCOL",
    "ClaheOptionError",
    "EvaluationReport",
    "FrameError",
    "ImageScores",
    "MeanAndDeviation",
    "PictureRow",
    "PictureSheetError",
    "ReportError",
    "ReportRow",
    "Summary",
    "VesselAgreement",
    "apply_clahe",
    "centerline_dice",
    "dice",
    "psnr_and_ssim",
    "score_image",
    "vessel_agreement",
    "vessel_map",
    "write_picture_sheet",
]
