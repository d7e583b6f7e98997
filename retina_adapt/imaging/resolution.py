"""Dots per inch: each format has its own place for them, and every format can hold EXIF, which has one too.

A photograph carries them in its EXIF (EXIF 2.32, tags 282, 283 and 296). Reading copies what JFIF (1.02) and PNG
(3rd edition, `pHYs`) state into it; writing copies it back. TIFF's own tags are the same as EXIF's.
"""

import math

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

_X, _Y, _UNIT = 282, 283, 296
_INCH, _CENTIMETRE = 2, 3
_CM_PER_INCH = 2.54


def note_resolution(tags: Image.Exif, image: Image.Image) -> None:
    """Copy the resolution that an image's format states into its EXIF tags, unless they state one already."""
    if _X in tags:
        return
    if image.format == "PNG" and "dpi" in image.info:
        # The file states whole pixels per metre, which Pillow converts to dots per inch.
        numbers, unit = [IFDRational(round(dpi * 100 / _CM_PER_INCH), 100) for dpi in image.info["dpi"]], _CENTIMETRE
    elif image.info.get("jfif_unit") in (1, 2):
        numbers = [IFDRational(density) for density in image.info["jfif_density"]]
        unit = _INCH if image.info["jfif_unit"] == 1 else _CENTIMETRE
    else:
        return
    if min(numbers) > 0:
        tags[_X], tags[_Y], tags[_UNIT] = *numbers, unit


def dots_per_inch(exif: bytes | None) -> tuple[float, float] | None:
    """Dots per inch across and down, as an EXIF block states them; None if it states none or impossible ones."""
    if exif is None:
        return None
    try:
        tags = Image.Exif()
        tags.load(exif)
        factor = _CM_PER_INCH if tags.get(_UNIT, _INCH) == _CENTIMETRE else 1.0
        across, down = (factor * float(tags[tag]) for tag in (_X, _Y))
    except Exception:  # whatever Pillow raises for damaged metadata
        return None
    if tags.get(_UNIT, _INCH) not in (_INCH, _CENTIMETRE) or not all(0 < it < math.inf for it in (across, down)):
        return None
    return across, down
