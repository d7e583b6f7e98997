"""Lay a low-quality photograph over the clear one of the same eye: two takes with a camera are no pair before.

The map is affine: a turn, a scale, a shift and a shear, which is what is left of the eye's curvature between two takes
of one view. It is looked for on the vessels, as in `measure_alignment`: first among a few turns and scales with the
shift that phase correlation finds, then refined by maximising the enhanced correlation coefficient (Evangelidis and
Psarakis 2008, "Parametric image alignment using enhanced correlation coefficient maximization").
"""

import dataclasses
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np

from retina_adapt.data.alignment import MEASURED_SIZE, Alignment, measure_alignment, vessels_inside
from retina_adapt.data.preparation import PreparedPhotograph, cut_and_resize, find_crop
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import FieldOfViewError, FieldOfViewShape, Photograph, SquareCrop, resize
from retina_adapt.imaging.mirror import fill_places, mirror_places

LARGEST_TURN = 9.0  # degrees, to either side
LARGEST_SCALE = 1.12
# How much longer one direction may become than another: two takes differ by little, and maps between two eyes by more.
LARGEST_STRETCH = 1.06
# An affine map lays some vessels of any two eyes over each other: their likeness comes to about 0.3.
LEAST_LIKENESS = 0.35
LEAST_SHARED = 0.75  # of the clear photograph's field of view
# Shares of the field's width: at the rim of a field of view light falls off, and edges are those of the aperture.
_RIM = 0.005
_TURNS = np.arange(-8.0, 8.1, 2.0)
_SCALES = (0.9, 0.95, 1.0, 1.05, 1.1)
_COARSE_SIZE = 128
# Pixels of the measured frame: with wide vessels first, the finest ones pull over short distances only.
_BLURS = (4.0, 1.5)
_ENDS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)

Affine = np.ndarray
"""float64 (2, 3): from (x, y, 1) in one frame to (x, y) in another, pixels whose centres are whole numbers."""


class RegistrationError(RetinaAdaptError):
    """Two photographs that cannot be laid over each other: of two eyes, or too faulty to find the vessels in."""


@dataclass(frozen=True, eq=False)
class RegisteredPair:
    """Two photographs of one size that show the eye at the same place.

    Attributes:
        low: the low-quality photograph, moved.
        high: the clear one. Where `low` had no tissue, both show the tissue beside that place, mirrored: black would be
            taken for tissue, and mirrored by networks to all that lies outside.
        turn: how the low-quality photograph lay against the clear one, in degrees, counter-clockwise.
        scale: how large it showed the eye in its field of view, the clear one's being 1.
        alignment: what is left, see `measure_alignment`.
    """

    low: Photograph
    high: Photograph
    turn: float
    scale: float
    alignment: Alignment


def register_pair(
    low: Photograph, high: Photograph, *, low_name: str, high_name: str, field_of_view: FieldOfViewShape = "auto"
) -> RegisteredPair:
    """Move a low-quality photograph to where the clear one shows the eye; their sizes may differ.

    Args:
        low_name, high_name: what error messages call them.
        field_of_view: of both, see `find_field_of_view`.

    Raises:
        FieldOfViewError: of one of them no field of view is found.
        RegistrationError: they have other channels, or no turn, scale and shift within bounds lays their vessels over
            each other, or they share too little of the eye.
    """
    if low.pixels.shape[2] != high.pixels.shape[2]:
        raise RegistrationError(f"{low_name}: is grey where {high_name} is in colour, or the other way round")
    high_crop = find_crop(high, high_name, mask=None, field_of_view=field_of_view)
    high_frame = cut_and_resize(high.pixels, high_crop, MEASURED_SIZE, high_name)
    candidates = [
        _laid_over(cut_and_resize(low.pixels, crop, MEASURED_SIZE, low_name), high_frame, crop)
        for crop in _likely_crops(low, high, high_crop, low_name, field_of_view)
    ]
    # Where two maps fit, the one that shows more of the eye: the other takes a part of the field for the whole.
    fitting = [found for found in candidates if found and found.alignment.likeness >= LEAST_LIKENESS]
    best = max(fitting, key=lambda found: (round(found.shared, 1), found.alignment.likeness), default=None)
    if best is None:
        raise RegistrationError(
            f"{low_name}: its vessels are not found in {high_name}; leave the pair out if it shows two eyes or shares "
            f"less than {LEAST_SHARED:.0%} of one, or register it by hand if it is turned by more than "
            f"{LARGEST_TURN:g} degrees, scaled by more than {LARGEST_SCALE - 1:.0%} or too noisy"
        )
    to_low = _invert(_frame_of(best.crop)) @ _square(best.affine) @ _square(_frame_of(high_crop))
    height, width = high.pixels.shape[:2]
    laid_out = _laid_out(low.pixels, to_low, height, width) * high_crop.mask[:, :, None]
    shown = high_crop.mask & (_moved(best.crop.mask.astype(np.float32), to_low, height, width) > 0.999)
    rim = 2 * round(_RIM * high_crop.side) + 1
    shown = cv2.erode(shown.astype(np.uint8), np.ones((rim, rim), np.uint8)).astype(bool)
    turn, scale = _turn_and_scale(best.affine)
    return RegisteredPair(
        low=_with_pixels(low, _mirrored_beyond(laid_out, shown, high_crop)),
        high=_with_pixels(high, _mirrored_beyond(high.pixels, shown, high_crop)),
        turn=turn,
        scale=scale,
        alignment=best.alignment,
    )


def _with_pixels(photograph: Photograph, pixels: np.ndarray) -> Photograph:
    """What is still true of it with other pixels; of patient and study nothing is."""
    return dataclasses.replace(photograph, pixels=pixels, alpha=None, dicom_header=None)


def _mirrored_beyond(pixels: np.ndarray, shown: np.ndarray, crop: SquareCrop) -> np.ndarray:
    """The photograph with mirrored tissue where its field of view is not `shown`."""
    square = crop.extract(pixels.astype(np.float32))
    fill_places(square, *mirror_places(crop.extract_mask(shown)))
    return crop.restore(square, onto=pixels.astype(np.float32))


@dataclass(frozen=True, eq=False)
class _LaidOver:
    """A map from the clear photograph's frame to that of the low-quality one's crop, and what it leaves.

    `shared` is the share of the clear photograph's field of view that the low-quality one shows too.
    """

    crop: SquareCrop
    affine: Affine
    alignment: Alignment
    shared: float


def _likely_crops(
    low: Photograph, high: Photograph, high_crop: SquareCrop, low_name: str, field_of_view: FieldOfViewShape
) -> list[SquareCrop]:
    """Where the low-quality photograph shows the eye: where it seems to, and where the clear one of its size does.

    In the dark, or in haze, what is found may be a part of the field of view.
    """
    as_high = [high_crop] if low.pixels.shape == high.pixels.shape else []
    try:
        found = find_crop(low, low_name, mask=None, field_of_view=field_of_view)
    except FieldOfViewError:
        if not as_high:
            raise
        return as_high
    return [found] if as_high and np.array_equal(found.mask, high_crop.mask) else [found, *as_high]


def _laid_over(low: PreparedPhotograph, high: PreparedPhotograph, crop: SquareCrop) -> _LaidOver | None:
    affine = find_registration(low, high)
    if affine is None or not _is_plausible(affine):
        return None
    side = MEASURED_SIZE
    moved = np.atleast_3d(_moved(low.image, affine, side, side)).clip(0, 1)
    shown = high.mask & (_moved(low.mask.astype(np.float32), affine, side, side) > 0.999)
    shared = np.count_nonzero(shown) / np.count_nonzero(high.mask)
    if shared < LEAST_SHARED:
        return None
    return _LaidOver(crop, affine, measure_alignment(moved, high.image, shown), shared)


def find_registration(low: PreparedPhotograph, high: PreparedPhotograph) -> Affine | None:
    """Where in the low-quality frame each place of the clear one is; None if the search does not converge.

    Args:
        low, high: prepared at `MEASURED_SIZE`, each by its own field of view.
    """
    clear, other = (vessels_inside(frame.image, frame.mask).astype(np.float32) for frame in (high, low))
    affine = _coarse_registration(*(_reduced(vessels) for vessels in (clear, other)))
    scale = MEASURED_SIZE / _COARSE_SIZE
    affine = affine * [1, 1, scale]
    for blur in _BLURS:
        template, moving = (cv2.GaussianBlur(vessels, (0, 0), blur) for vessels in (clear, other))
        start = affine.astype(np.float32)
        try:
            _, refined = cv2.findTransformECC(template, moving, start, cv2.MOTION_AFFINE, _ENDS)
        except cv2.error:
            # It says so by an exception where the correlation does not grow.
            return None
        affine = np.asarray(refined, dtype=np.float64)
    return affine


def _coarse_registration(clear: np.ndarray, other: np.ndarray) -> Affine:
    """The best of a few turns and scales, each with the shift that phase correlation finds."""
    side = clear.shape[0]
    best: Affine = np.eye(2, 3)
    best_correlation = -np.inf
    for turn, scale in product(_TURNS, _SCALES):
        affine: Affine = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), turn, scale)
        turned = cv2.warpAffine(other, affine, (side, side))
        shift, _ = cv2.phaseCorrelate(turned, clear)
        affine[:, 2] += np.array(shift)
        laid_over = cv2.warpAffine(other, affine, (side, side))
        correlation = float((laid_over * clear).sum() / (np.linalg.norm(laid_over) + 1e-6))
        if correlation > best_correlation:
            best, best_correlation = affine, correlation
    return cv2.invertAffineTransform(best)


def _reduced(vessels: np.ndarray) -> np.ndarray:
    return cv2.resize(vessels, (_COARSE_SIZE, _COARSE_SIZE), interpolation=cv2.INTER_AREA)


def _turn_and_scale(affine: Affine) -> tuple[float, float]:
    """Of the map: degrees, counter-clockwise as the picture is seen, and a factor."""
    (a, b), (c, d) = affine[:, :2]
    return float(-np.degrees(np.arctan2(c - b, a + d))), float(np.sqrt(abs(a * d - b * c)))


def _is_plausible(affine: Affine) -> bool:
    """Whether it lies between two takes of one view, and is not what noise or another eye converged to."""
    turn, scale = _turn_and_scale(affine)
    longest, shortest = np.linalg.svd(affine[:, :2], compute_uv=False)
    is_small = abs(turn) <= LARGEST_TURN and 1 / LARGEST_SCALE <= scale <= LARGEST_SCALE
    return bool(is_small and longest <= LARGEST_STRETCH * shortest)


def _laid_out(pixels: np.ndarray, to_low: np.ndarray, height: int, width: int) -> np.ndarray:
    """The low-quality photograph where the clear one shows the eye, (height, width, C) in [0, 1]."""
    reduction = np.sqrt(abs(np.linalg.det(to_low[:2, :2])))
    if reduction > 1:
        # Fewer pixels are the mean of those that they stand for, not samples of them.
        shape = [max(1, round(length / reduction)) for length in pixels.shape[:2]]
        down, right = (after / before for after, before in zip(shape, pixels.shape[:2], strict=True))
        smaller = np.array([[right, 0, (right - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
        pixels, to_low = resize(pixels, *shape), smaller @ to_low
    return np.atleast_3d(_moved(pixels, to_low, height, width)).clip(0, 1)


def _moved(pixels: np.ndarray, to_source: Affine, height: int, width: int) -> np.ndarray:
    """The picture in whose place (x, y) the pixels' place `to_source` (x, y) is shown; 0 beyond their frame."""
    return cv2.warpAffine(
        pixels.astype(np.float32), to_source[:2], (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )


def _frame_of(crop: SquareCrop) -> Affine:
    """From a photograph's pixels to those of its frame of `MEASURED_SIZE`."""
    scale = MEASURED_SIZE / crop.side
    # The corners of pixels are halves: these are what resizing keeps in place.
    return np.array(
        [[scale, 0, (0.5 - crop.left) * scale - 0.5], [0, scale, (0.5 - crop.top) * scale - 0.5]], dtype=np.float64
    )


def _square(affine: Affine) -> np.ndarray:
    return np.vstack([affine, [0.0, 0.0, 1.0]])


def _invert(affine: Affine) -> np.ndarray:
    return np.linalg.inv(_square(affine))
