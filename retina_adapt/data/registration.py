"""Register a low-quality photograph to the clear one of the same eye: until then, two takes are not a pair.

The map is affine (a turn, a scale, a shift and a shear), which is all that the eye's curvature leaves between two takes
of one view. It is found from the vessels, as in `measure_alignment`: a search over a few turns and scales, each with
the shift that phase correlation finds, and then a refinement that maximises the enhanced correlation coefficient
(Evangelidis and Psarakis 2008, "Parametric image alignment using enhanced correlation coefficient maximization").
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

LARGEST_TURN = 9.0  # degrees, either way
LARGEST_SCALE = 1.12
# By how much a map may stretch one direction more than another: little between two takes, more between two eyes.
LARGEST_STRETCH = 1.06
# Some affine map lays vessels of any two eyes over each other, with a likeness of about 0.3.
LEAST_LIKENESS = 0.35
LEAST_SHARED = 0.75  # of the clear photograph's field of view
# A share of the field's width: at the rim, light falls off, and edges are those of the aperture.
_RIM = 0.005
_TURNS = np.arange(-8.0, 8.1, 2.0)
_SCALES = (0.9, 0.95, 1.0, 1.05, 1.1)
_COARSE_SIZE = 128
# In pixels of the measured frame; wide vessels first, since the finest guide the search over short distances only.
_BLURS = (4.0, 1.5)
_ENDS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)

Affine = np.ndarray
"""float64 (2, 3): from (x, y, 1) in one frame to (x, y) in another, in pixels, whose centres are whole numbers."""


class RegistrationError(RetinaAdaptError):
    """Two photographs cannot be registered: they show two eyes, or are too degraded for the vessels to be found."""


@dataclass(frozen=True, eq=False)
class RegisteredPair:
    """Two photographs of one size that show the eye at the same place.

    Attributes:
        low: the low-quality photograph, moved.
        high: the clear one. Where `low` has no tissue, both show the neighbouring tissue mirrored: black would be taken
            for tissue, and preparation would mirror it into the whole surround.
        turn: by how much the low-quality photograph was turned against the clear one, in degrees, counter-clockwise.
        scale: how large it showed the eye within its field of view, relative to the clear one.
        alignment: the misalignment that remains, see `measure_alignment`.
    """

    low: Photograph
    high: Photograph
    turn: float
    scale: float
    alignment: Alignment


def register_pair(
    low: Photograph, high: Photograph, *, low_name: str, high_name: str, field_of_view: FieldOfViewShape = "auto"
) -> RegisteredPair:
    """Move a low-quality photograph so that it shows the eye where the clear one does; their sizes may differ.

    Args:
        low_name, high_name: their names in error messages.
        field_of_view: of both, see `find_field_of_view`.

    Raises:
        FieldOfViewError: no field of view is found in one of them.
        RegistrationError: one is grey and the other in colour, no affine map within bounds lays their vessels over
            each other, or they share too little of the eye.
    """
    if low.pixels.shape[2] != high.pixels.shape[2]:
        raise RegistrationError(
            f"{low_name}: is grey where {high_name} is in colour, or the other way round; save both alike"
        )
    high_crop = find_crop(high, high_name, mask=None, field_of_view=field_of_view)
    high_frame = cut_and_resize(high.pixels, high_crop, MEASURED_SIZE, high_name)
    candidates = [
        _laid_over(cut_and_resize(low.pixels, crop, MEASURED_SIZE, low_name), high_frame, crop)
        for crop in _likely_crops(low, high, high_crop, low_name, field_of_view)
    ]
    # If two maps fit, take the one that shows more of the eye: the other mistakes a part of the field for the whole.
    fitting = [found for found in candidates if found and found.alignment.likeness >= LEAST_LIKENESS]
    best = max(fitting, key=lambda found: (round(found.shared, 1), found.alignment.likeness), default=None)
    if best is None:
        raise RegistrationError(
            f"{low_name}: its vessels are not found in {high_name}; leave the pair out if these are two eyes or two "
            f"views that share less than {LEAST_SHARED:.0%}, or register it by hand if it is turned by more than "
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
    """The photograph with other pixels, without its alpha and DICOM header, which describe the original."""
    return dataclasses.replace(photograph, pixels=pixels, alpha=None, dicom_header=None)


def _mirrored_beyond(pixels: np.ndarray, shown: np.ndarray, crop: SquareCrop) -> np.ndarray:
    """The photograph with mirrored tissue in the parts of its field of view that are not `shown`."""
    square = crop.extract(pixels.astype(np.float32))
    fill_places(square, *mirror_places(crop.extract_mask(shown)))
    return crop.restore(square, onto=pixels.astype(np.float32))


@dataclass(frozen=True, eq=False)
class _LaidOver:
    """A map from the clear photograph's frame to that of the low-quality one's crop, and how well it fits.

    `shared` is the share of the clear photograph's field of view that the low-quality one shows too.
    """

    crop: SquareCrop
    affine: Affine
    alignment: Alignment
    shared: float


def _likely_crops(
    low: Photograph, high: Photograph, high_crop: SquareCrop, low_name: str, field_of_view: FieldOfViewShape
) -> list[SquareCrop]:
    """Crops in which the low-quality photograph may show the eye: its own, and that of a clear one of equal size.

    In a dark or hazy photograph, only part of the field of view may be found.
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
    """Map places of the clear frame to places of the low-quality one; None if the search does not converge.

    Args:
        low, high: prepared at `MEASURED_SIZE`, each by its own crop.
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
            # OpenCV raises this if the correlation does not grow.
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
    """The map's turn in degrees, counter-clockwise as the picture is seen, and its scale as a factor."""
    (a, b), (c, d) = affine[:, :2]
    return float(-np.degrees(np.arctan2(c - b, a + d))), float(np.sqrt(abs(a * d - b * c)))


def _is_plausible(affine: Affine) -> bool:
    """Whether the map may lie between two takes of one view, rather than come from noise or another eye."""
    turn, scale = _turn_and_scale(affine)
    longest, shortest = np.linalg.svd(affine[:, :2], compute_uv=False)
    is_small = abs(turn) <= LARGEST_TURN and 1 / LARGEST_SCALE <= scale <= LARGEST_SCALE
    return bool(is_small and longest <= LARGEST_STRETCH * shortest)


def _laid_out(pixels: np.ndarray, to_low: np.ndarray, height: int, width: int) -> np.ndarray:
    """The low-quality photograph moved to the clear one's frame, (height, width, C) in [0, 1]."""
    reduction = np.sqrt(abs(np.linalg.det(to_low[:2, :2])))
    if reduction > 1:
        # When shrinking, each pixel is the mean of those it stands for, not a sample of them.
        shape = [max(1, round(length / reduction)) for length in pixels.shape[:2]]
        down, right = (after / before for after, before in zip(shape, pixels.shape[:2], strict=True))
        smaller = np.array([[right, 0, (right - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
        pixels, to_low = resize(pixels, *shape), smaller @ to_low
    return np.atleast_3d(_moved(pixels, to_low, height, width)).clip(0, 1)


def _moved(pixels: np.ndarray, to_source: Affine, height: int, width: int) -> np.ndarray:
    """The picture that shows, at (x, y), the pixels at `to_source` (x, y); 0 beyond their frame."""
    return cv2.warpAffine(
        pixels.astype(np.float32), to_source[:2], (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )


def _frame_of(crop: SquareCrop) -> Affine:
    """The map from a photograph's pixels to those of its frame of `MEASURED_SIZE`."""
    scale = MEASURED_SIZE / crop.side
    # Resizing keeps the pixels' corners in place, which lie at halves.
    return np.array(
        [[scale, 0, (0.5 - crop.left) * scale - 0.5], [0, scale, (0.5 - crop.top) * scale - 0.5]], dtype=np.float64
    )


def _square(affine: Affine) -> np.ndarray:
    return np.vstack([affine, [0.0, 0.0, 1.0]])


def _invert(affine: Affine) -> np.ndarray:
    return np.linalg.inv(_square(affine))
