"""Judge whether a picture can be a fundus photograph at all, and whether its samples mean what they seem to."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging.dicom import has_burned_in_writing
from retina_adapt.imaging.field_of_view import FieldOfView
from retina_adapt.imaging.photograph import Photograph

# Mean red over the larger of green and blue: a fundus returns light through the blood of the choroid, and so red. The
# corpus's photographs lie well above these ratios.
_LEAST_RED_IN_A_DISC = 1.0
_LEAST_RED_IN_A_FULL_FRAME = 1.1
# A page is mostly paper; a photograph has only a few highlights that bright.
_PAPER_BRIGHTNESS, _MOST_PAPER = 0.8, 0.5
# The last rows of a disc are shorter than those above them, but not by so large a share of the frame's width.
_LIT, _LEAST_MISSING = 0.05, 0.15
# A grey, and tissue from dark to bright, in 8-bit sRGB.
_COLORS = np.array([[[128, 128, 128], [90, 30, 15], [180, 80, 40], [240, 180, 110]]], dtype=np.uint8)
# In 8-bit levels. sRGB with a plain gamma of 2.2 moves one of these colours by 9, Display P3 by 18, Adobe RGB by 26.
_LARGEST_PROFILE_CHANGE = 12
_LONGEST_PROFILE_NAME = 60


class NoFundusError(RetinaAdaptError):
    """A picture that shows no fundus."""


def require_fundus(pixels: np.ndarray, found: FieldOfView, name: str) -> str:
    """Refuse a picture that cannot be a fundus photograph; return a doubt about any other, "" if there is none.

    Doubtful are full frames, stretched pictures, and grey ones, which networks that know only colour may misjudge. A
    grey picture is not judged by its colour, but refused if it looks like a page of text.

    Args:
        pixels: float32 (H, W, C) in [0, 1].
        found: from `find_field_of_view`.

    Raises:
        NoFundusError: the tissue is not red enough, or the picture is a grey full frame mostly as bright as paper.
    """
    is_grey, is_full_frame = True, bool(found.mask.all())
    remedy = "if it is one all the same, say so with --field-of-view circle or full_frame"
    if pixels.shape[2] == 3:
        # Every tenth row and column is enough for the mean.
        sample = pixels[::10, ::10][found.mask[::10, ::10]] if found.mask[::10, ::10].any() else pixels[found.mask]
        red, green, blue = sample.mean(axis=0)
        is_grey = max(red, green, blue) - min(red, green, blue) < 0.02
        least_red = _LEAST_RED_IN_A_FULL_FRAME if is_full_frame else _LEAST_RED_IN_A_DISC
        if not is_grey and red < least_red * max(green, blue):
            raise NoFundusError(f"{name}: does not look like a fundus photograph (its tissue is not red); {remedy}")
    if is_full_frame and is_grey and (pixels >= _PAPER_BRIGHTNESS).mean() > _MOST_PAPER:
        raise NoFundusError(f"{name}: does not look like a fundus photograph (most of it is white); {remedy}")
    if is_full_frame:
        return f"{name}: no round field of view found: the whole frame was taken for tissue"
    if found.circle is None:
        return (
            f"{name}: the field of view is an ellipse; if the picture was stretched, give it back its proportions, "
            "since adaptors have seen eyes in no others"
        )
    if is_grey:
        return (
            f"{name}: is grey; networks that learnt from colour photographs alone, such as the embedded adaptors and "
            "their router, may take it for a faulty one: compare it with its result"
        )
    return ""


def doubt_about_samples(photograph: Photograph, name: str) -> str:
    """Describe doubts about the samples; "" if there are none.

    Doubtful are 12-bit values stored in 16 bits without scaling, a file whose end was never copied, and writing that a
    DICOM object declares in its picture.
    """
    doubts = [_doubt_about_bits(photograph), _doubt_about_the_end(photograph.pixels)]
    if photograph.dicom_header is not None and has_burned_in_writing(photograph.dicom_header):
        doubts.append(
            "its DICOM object declares writing in the picture (BurnedInAnnotation), perhaps a patient's name: it stays "
            "in the result"
        )
    return "; ".join(f"{name}: {doubt}" for doubt in doubts if doubt)


def _doubt_about_bits(photograph: Photograph) -> str:
    if photograph.bit_depth != 16:
        return ""
    largest = round(float(photograph.pixels.max()) * 65535)
    if not 0 < largest < 2**12:
        return ""
    return (
        f"its brightest sample is {largest} of 65535, as if 12-bit values were stored in 16 bits; if so, multiply them "
        "by 16 first"
    )


def _doubt_about_the_end(pixels: np.ndarray) -> str:
    """Doubt a picture that turns black in the middle of a row, like a file made at its full size and never filled.

    Black rows alone prove nothing: photographs are padded with them. A file that ends between two rows goes unnoticed.
    """
    if pixels[-1].any():
        return ""
    rows = np.flatnonzero(pixels.any(axis=(1, 2)))
    if len(rows) < 2 or rows[-1] == 0:
        return ""
    above, last = pixels[rows[-1] - 1], pixels[rows[-1]]
    width = len(last)
    end = np.flatnonzero(last.any(axis=1))[-1] + 1
    lit_above = np.flatnonzero(above.max(axis=1) > _LIT)
    if not len(lit_above) or last[:end].max() <= _LIT or lit_above[-1] + 1 - end < _LEAST_MISSING * width:
        return ""
    return (
        f"is black from the middle of row {rows[-1] + 1} of {len(pixels)} on, as if the file had not been copied to "
        "its end; compare it with its source"
    )


def doubt_about_colors(photograph: Photograph, name: str) -> str:
    """Describe the doubt about a photograph whose colour profile is not sRGB's; "" if there is none."""
    if photograph.icc_profile is None or photograph.pixels.shape[2] != 3:
        return ""
    profile = _other_profile(photograph.icc_profile)
    return profile and (
        f"{name}: has the colour profile '{profile}', but its colours are taken for sRGB, the only colour space that "
        "adaptors and router know; convert it to sRGB first"
    )


@lru_cache(maxsize=16)
def _other_profile(profile: bytes) -> str:
    """Name of a profile whose colours differ from sRGB's; "" for one whose colours do not, and for a damaged one."""
    try:
        read = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(read, ImageCms.createProfile("sRGB"), "RGB", "RGB")
        moved = ImageCms.applyTransform(Image.fromarray(_COLORS), transform)
        called = " ".join(ImageCms.getProfileDescription(read).split())[:_LONGEST_PROFILE_NAME] or "without a name"
    except (ImageCms.PyCMSError, OSError, ValueError):
        return ""
    is_other = np.abs(np.asarray(moved, dtype=int) - _COLORS).max() > _LARGEST_PROFILE_CHANGE
    return called if is_other else ""
