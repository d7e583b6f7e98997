"""A sheet of pictures side by side, with their scores: what a table of means cannot show."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.evaluation.frame import require_picture
from retina_adapt.evaluation.metrics import ImageScores

PICTURE_SIDE = 320
GAP = 16
LABEL_WIDTH = 150
TITLE_HEIGHT = 44
CAPTION_HEIGHT = 54
TITLE_FONT_SIZE = 20
LABEL_FONT_SIZE = 16
CAPTION_FONT_SIZE = 15
LABEL_CHARACTERS = 16

PAPER = (255, 255, 255)
INK = (25, 25, 25)
PALE_INK = (95, 95, 95)


class PictureSheetError(RetinaAdaptError):
    """Rows that do not fill the columns, or a file that cannot be written."""


@dataclass(frozen=True)
class PictureRow:
    """One line of the sheet.

    Attributes:
        label: written to the left of the pictures; long labels are wrapped.
        pictures: one array (H, W, C) of any size for each column, RGB (C=3) or grey (C=1), values in [0, 1].
        scores: written under each picture; None leaves the space empty, as under the target.
    """

    label: str
    pictures: Sequence[np.ndarray]
    scores: Sequence[ImageScores | None]


def write_picture_sheet(path: str | Path, rows: Sequence[PictureRow], column_titles: Sequence[str]) -> None:
    """Write the rows as one PNG image; a killed process leaves the previous file whole.

    Each picture is scaled to fit a square of 320 px, keeping its proportions.

    Args:
        path: ends in `.png`.
        rows: from top to bottom.
        column_titles: one for each column, for example "degraded", "enhanced", "target".

    Raises:
        PictureSheetError: there are no rows or no titles, a row has more or fewer pictures or scores than there are
            titles, the name does not end in `.png`, or the file cannot be written.
        FrameError: a picture has another shape or type than those of `PictureRow`, or values that are not in [0, 1].
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise PictureSheetError(f"{path}: a picture sheet is a PNG file; give a name that ends in .png")
    if not rows or not column_titles:
        raise PictureSheetError(f"{path}: a picture sheet needs at least one row and one column title")
    for row in rows:
        if not len(row.pictures) == len(row.scores) == len(column_titles):
            raise PictureSheetError(
                f"{path}: row {row.label!r} has {len(row.pictures)} pictures and {len(row.scores)} scores; "
                f"give one of each (None for no scores) for each of the columns {list(column_titles)}"
            )
        for title, picture in zip(column_titles, row.pictures, strict=True):
            require_picture(picture, role=f"picture {title!r} of row {row.label!r}")
    sheet = _draw_sheet(rows, column_titles)
    try:
        with write_file_atomically(path) as temporary:
            sheet.save(temporary, format="PNG")
    except OSError as error:
        raise PictureSheetError(f"{path}: cannot write the sheet ({error}); choose a writable folder") from error


def _draw_sheet(rows: Sequence[PictureRow], column_titles: Sequence[str]) -> Image.Image:
    column_step = PICTURE_SIDE + GAP
    row_step = PICTURE_SIDE + CAPTION_HEIGHT
    width = GAP + LABEL_WIDTH + len(column_titles) * column_step
    sheet = Image.new("RGB", (width, TITLE_HEIGHT + len(rows) * row_step), PAPER)
    pen = ImageDraw.Draw(sheet)
    title_font = ImageFont.load_default(size=TITLE_FONT_SIZE)
    label_font = ImageFont.load_default(size=LABEL_FONT_SIZE)
    caption_font = ImageFont.load_default(size=CAPTION_FONT_SIZE)

    lefts = [GAP + LABEL_WIDTH + column * column_step for column in range(len(column_titles))]
    for left, title in zip(lefts, column_titles, strict=True):
        pen.text((left + PICTURE_SIDE / 2, TITLE_HEIGHT / 2), title, INK, title_font, anchor="mm")
    for position, row in enumerate(rows):
        top = TITLE_HEIGHT + position * row_step
        label = textwrap.fill(row.label, LABEL_CHARACTERS)
        pen.multiline_text((GAP, top + PICTURE_SIDE / 2), label, INK, label_font, anchor="lm", spacing=6)
        for left, picture, scores in zip(lefts, row.pictures, row.scores, strict=True):
            thumbnail = _thumbnail(picture)
            sheet.paste(
                thumbnail,
                (left + (PICTURE_SIDE - thumbnail.width) // 2, top + (PICTURE_SIDE - thumbnail.height) // 2),
            )
            if scores is not None:
                pen.multiline_text(
                    (left + PICTURE_SIDE / 2, top + PICTURE_SIDE + 6),
                    _caption(scores),
                    PALE_INK,
                    caption_font,
                    anchor="ma",
                    align="center",
                )
    return sheet


def _thumbnail(picture: np.ndarray) -> Image.Image:
    rgb = picture if picture.shape[2] == 3 else np.repeat(picture, 3, axis=2)
    image = Image.fromarray(np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8))
    scale = PICTURE_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _caption(scores: ImageScores) -> str:
    """Two short lines. Pillow's built-in font has no Greek letters, hence no delta E."""
    first = f"PSNR {scores.psnr:.2f} dB    SSIM {scores.ssim:.3f}"
    second = []
    if scores.ms_ssim is not None:
        second.append(f"MS-SSIM {scores.ms_ssim:.3f}")
    if scores.color_difference is not None:
        second.append(f"CIEDE2000 {scores.color_difference:.2f}")
    return "\n".join([first, "    ".join(second)])
