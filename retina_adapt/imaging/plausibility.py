"""Whether a picture can be a colour photograph of a fundus at all, and whether its samples mean what they seem to."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging.dicom import has_burned_in_writing
from retina_adapt.imaging.field_of_view import FieldOfView
from retina_adapt.imaging.photograph import Photograph

# Light comes back from a fundus red: through the blood of the choroid. Those of the corpus are well above these ratios.
_LEAST_RED_IN_A_DISC = 1.0
_LEAST_RED_IN_A_FULL_FRAME = 1.1
# A page is mostly paper; a photograph has a few highlights as bright as that.
_PAPER_BRIGHTNESS, _MOST_PAPER = 0.8, 0.5
# The last rows of a disc are shorter than those above them, but not by so much of the frame's width.
_LIT, _LEAST_MISSING = 0.05, 0.15
# A grey, and tissue from dark to bright, in sRGB of 8 bits.
_COLORS = np.array([[[128, 128, 128], [90, 30, 15], [180, 80, 40], [240, 180, 110]]], dtype=np.uint8)
# sRGB with a plain power of 2.2 for its tones moves one of them by 9, Display P3 by 18, Adobe RGB by 26.
_LARGEST_PROFILE_CHANGE = 12
_LONGEST_PROFILE_NAME = 60


class NoFundusError(RetinaAdaptError):
    """A picture that shows no fundus."""


def require_fundus(pixels: np.ndarray, found: FieldOfView, name: str) -> str:
    """A doubt about the picture in words, empty if there is none.

    Grey pictures are not judged by their colour, but a page of text is told from them, and they are doubtful where
    networks know colour alone.

    Args:
        pixels: float32 (H, W, C) in [0, 1].
        found: what the search for a field of view gave.

    Raises:
        NoFundusError: its tissue is not red enough, or it is a grey frame as bright as paper.
    """
    is_grey = True
    remedy = "if it is one all the same, say so with --field-of-view circle or full_frame"
    if pixels.shape[2] == 3:
        # Every tenth pixel tells the mean.
        sample = pixels[::10, ::10][found.mask[::10, ::10]] if found.mask[::10, ::10].any() else pixels[found.mask]
        red, green, blue = sample.mean(axis=0)
        is_grey = max(red, green, blue) - min(red, green, blue) < 0.02
        least_red = _LEAST_RED_IN_A_FULL_FRAME if found.circle is None else _LEAST_RED_IN_A_DISC
        if not is_grey and red < least_red * max(green, blue):
            raise NoFundusError(f"{name}: does not look like a fundus photograph (its tissue is not red); {remedy}")
    if found.circle is None and is_grey and (pixels >= _PAPER_BRIGHTNESS).mean() > _MOST_PAPER:
        raise NoFundusError(f"{name}: does not look like a fundus photograph (most of it is white); {remedy}")
    if found.circle is None:
        return f"{name}: no round field of view found: all of the frame was taken for tissue"
    if is_grey:
        return (
            f"{name}: is grey; what learnt from colour photographs alone, as the embedded adaptors and their router "
            "did, may take it for a faulty one: compare it with its result"
        )
    return ""


def doubt_about_samples(photograph: Photograph, name: str) -> str:
    """Doubts in words, empty if there is none.

    12 bits of a camera that were stored in 16 without scaling them; a file whose end was never copied; writing that a
    DICOM object says is in its picture.
    """
    doubts = [_doubt_about_bits(photograph), _doubt_about_the_end(photograph.pixels)]
    if photograph.dicom_header is not None and has_burned_in_writing(photograph.dicom_header):
        doubts.append(
            "its DICOM object says that there is writing in the picture (BurnedInAnnotation), perhaps a patient's "
            "name: it stays in the result"
        )
    return "; ".join(f"{name}: {doubt}" for doubt in doubts if doubt)


def _doubt_about_bits(photograph: Photograph) -> str:
    if photograph.bit_depth != 16:
        return ""
    largest = round(float(photograph.pixels.max()) * 65535)
    if not 0 < largest < 2**12:
        return ""
    return (
        f"its brightest sample is {largest} of 65535, as where 12-bit values are stored in 16 bits; if they are, "
        "multiply them by 16 first"
    )


def _doubt_about_the_end(pixels: np.ndarray) -> str:
    """Of a file that was made at its full size and then not filled, samples end amid a row, and zeros follow.

    Black rows alone tell nothing: photographs are padded with them. One that ends between two rows is not told.
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
        f"is black from amid row {rows[-1] + 1} of {len(pixels)} on, as where a file was not copied to its end; "
        "compare it with its source"
    )


def doubt_about_colors(photograph: Photograph, name: str) -> str:
    """A doubt in words, empty if there is none: a colour profile that is another than sRGB's."""
    if photograph.icc_profile is None or photograph.pixels.shape[2] != 3:
        return ""
    profile = _other_profile(photograph.icc_profile)
    return profile and (
        f"{name}: has the colour profile '{profile}', whose colours are taken for those of sRGB, which adaptors and "
        "router know; convert it to sRGB first"
    )


@lru_cache(maxsize=16)
def _other_profile(profile: bytes) -> str:
    """What a profile is called whose colours are not those of sRGB; "" for one whose are, and a damaged one."""
    try:
        read = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(read, ImageCms.createProfile("sRGB"), "RGB", "RGB")
        moved = ImageCms.applyTransform(Image.fromarray(_COLORS), transform)
        called = " ".join(ImageCms.getProfileDescription(read).split())[:_LONGEST_PROFILE_NAME] or "without a name"
    except (ImageCms.PyCMSError, OSError, ValueError):
        return ""
    is_other = np.abs(np.asarray(moved, dtype=int) - _COLORS).max() > _LARGEST_PROFILE_CHANGE
    return called if is_other else ""
