"""A picture sheet shows every picture in its place, undistorted, with its scores, and refuses ragged rows."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retina_adapt.evaluation import FrameError, ImageScores, PictureRow, PictureSheetError, write_picture_sheet

SCORES = ImageScores(psnr=24.13, ssim=0.812, ms_ssim=0.93, color_difference=4.2)
RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
TITLES = ["degraded", "enhanced", "target"]


def plain(color: tuple[float, ...], height: int = 64, width: int = 64) -> np.ndarray:
    return np.full((height, width, len(color)), color, dtype=np.float32)


def row(label: str = "09_h", scores: ImageScores | None = SCORES) -> PictureRow:
    return PictureRow(label, [plain(RED), plain(GREEN), plain(BLUE)], [scores, scores, None])


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def place_of(sheet: np.ndarray, color: tuple[int, int, int]) -> tuple[slice, slice]:
    rows, columns = np.nonzero((np.abs(sheet - color) < 3).all(axis=2))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_pictures_stand_in_the_order_of_the_columns_at_one_height(tmp_path: Path) -> None:
    write_picture_sheet(tmp_path / "sheet.png", [row()], TITLES)
    sheet = read(tmp_path / "sheet.png")
    red, green = place_of(sheet, (255, 0, 0)), place_of(sheet, (0, 255, 0))
    assert red[1].stop < green[1].start
    assert red[0] == green[0]
    assert (sheet[red] == (255, 0, 0)).all()


def test_a_second_row_is_drawn_below_the_first(tmp_path: Path) -> None:
    write_picture_sheet(tmp_path / "one.png", [row()], TITLES)
    write_picture_sheet(tmp_path / "two.png", [row(), row("10_h")], TITLES)
    one, two = read(tmp_path / "one.png"), read(tmp_path / "two.png")
    assert two.shape[0] > 1.5 * one.shape[0]
    np.testing.assert_array_equal(two[: one.shape[0]], one)


def test_a_wide_picture_keeps_its_proportions(tmp_path: Path) -> None:
    wide = PictureRow("wide", [plain(RED, height=30, width=90)], [None])
    write_picture_sheet(tmp_path / "sheet.png", [wide], ["photograph"])
    rows, columns = place_of(read(tmp_path / "sheet.png"), (255, 0, 0))
    assert (columns.stop - columns.start) / (rows.stop - rows.start) == pytest.approx(3, rel=0.02)


def test_scores_are_written_under_a_picture_and_nothing_under_one_without(tmp_path: Path) -> None:
    write_picture_sheet(tmp_path / "sheet.png", [row()], TITLES)
    sheet = read(tmp_path / "sheet.png")
    red, blue = place_of(sheet, (255, 0, 0)), place_of(sheet, (0, 0, 255))
    assert sheet[red[0].stop :, red[1]].min() < 128
    assert sheet[blue[0].stop :, blue[1]].min() == 255


def test_a_grey_picture_is_shown_as_grey(tmp_path: Path) -> None:
    write_picture_sheet(tmp_path / "sheet.png", [PictureRow("grey", [plain((0.5,))], [None])], ["photograph"])
    sheet = read(tmp_path / "sheet.png")
    assert ((sheet == 128).all(axis=2)).sum() > 300**2


@pytest.mark.parametrize(
    "broken",
    [
        PictureRow("short", [plain(RED)], [None, None, None]),
        PictureRow("short", [plain(RED)] * 3, [None]),
    ],
)
def test_a_row_that_does_not_fill_the_columns_is_refused_by_label(tmp_path: Path, broken: PictureRow) -> None:
    with pytest.raises(PictureSheetError, match="'short'"):
        write_picture_sheet(tmp_path / "sheet.png", [row(), broken], TITLES)
    assert not list(tmp_path.iterdir())


def test_a_sheet_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureSheetError, match="at least one row"):
        write_picture_sheet(tmp_path / "sheet.png", [], TITLES)


def test_a_name_that_is_not_png_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureSheetError, match=r"\.png"):
        write_picture_sheet(tmp_path / "sheet.jpg", [row()], TITLES)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ((plain(RED) * 255).astype(np.uint8), "has type uint8"),
        (plain(RED)[..., 0], r"has shape \(64, 64\)"),
        (plain(RED) * np.nan, "has values from nan"),
    ],
)
def test_a_picture_that_would_show_as_another_is_refused_by_its_place(
    tmp_path: Path, broken: np.ndarray, reason: str
) -> None:
    rows = [row(), PictureRow("10_h", [plain(RED), broken, plain(BLUE)], [None] * 3)]
    with pytest.raises(FrameError, match=f"'enhanced' of row '10_h' {reason}"):
        write_picture_sheet(tmp_path / "sheet.png", rows, TITLES)
    assert not list(tmp_path.iterdir())
