"""Dots per inch survive reading and writing in every format, wherever the file had them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from retina_adapt.imaging import Photograph, decode_photograph, read_photograph, write_photograph

PICTURE = Image.fromarray(np.full((8, 6, 3), 90, np.uint8))


def encoded(format_name: str, **options) -> bytes:
    buffer = BytesIO()
    PICTURE.save(buffer, format_name, **options)
    return buffer.getvalue()


def exif_with(**tags) -> Image.Exif:
    exif = Image.Exif()
    for tag, value in {"_271": "Camera maker", **tags}.items():
        exif[int(tag.removeprefix("_"))] = value
    return exif


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize(
    "content",
    [
        encoded("JPEG", dpi=(300, 300)),
        encoded("JPEG", dpi=(300, 300), exif=exif_with()),
        encoded("PNG", dpi=(300, 300)),
        encoded("TIFF", dpi=(300, 300)),
        encoded("PNG", exif=exif_with(_282=300.0, _283=300.0, _296=2)),
    ],
    ids=["JFIF", "JFIF beside EXIF", "PNG", "TIFF", "EXIF alone"],
)
def test_a_resolution_is_kept(tmp_path, content, suffix):
    write_photograph(decode_photograph(content, "eye"), tmp_path / f"first{suffix}")
    write_photograph(read_photograph(tmp_path / f"first{suffix}"), tmp_path / f"second{suffix}")
    with Image.open(tmp_path / f"second{suffix}") as image:
        assert [float(it) for it in image.info["dpi"]] == pytest.approx([300, 300], abs=0.01)
        # Where programs look first.
        assert suffix != ".jpg" or (image.info["jfif_unit"], image.info["jfif_density"]) == (1, (300, 300))


def test_pixels_a_metre_come_back_as_they_were(tmp_path):
    content = encoded("PNG", dpi=(11811 * 0.0254, 2835 * 0.0254))
    write_photograph(decode_photograph(content, "eye"), tmp_path / "eye.png")
    place = content.index(b"pHYs")
    assert content[place : place + 13] in (tmp_path / "eye.png").read_bytes()


@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
def test_none_is_made_up(tmp_path, format_name):
    read = decode_photograph(encoded(format_name), "eye")
    assert read.exif is None
    write_photograph(read, tmp_path / "eye.png")
    write_photograph(read, tmp_path / "eye.jpg")
    for name in ("eye.png", "eye.jpg"):
        with Image.open(tmp_path / name) as image:
            assert "dpi" not in image.info


@pytest.mark.parametrize("number", [0.0, 1e9])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_one_that_cannot_be_is_left_out_and_spoils_no_file(tmp_path, number, suffix):
    exif = exif_with(_282=number, _283=number, _296=3).tobytes()
    write_photograph(Photograph(np.zeros((4, 4, 3), np.float32), exif=exif), tmp_path / f"eye{suffix}")
    with Image.open(tmp_path / f"eye{suffix}") as image:
        image.load()
        assert image.getexif()[271] == "Camera maker"
        assert image.info.get("jfif_unit", 0) == 0
