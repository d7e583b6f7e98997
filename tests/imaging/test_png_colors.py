"""A PNG file's gamma and primaries become a colour profile of the same meaning; those of sRGB need none."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from retina_adapt.imaging import decode_photograph, read_photograph, write_photograph
from retina_adapt.imaging.plausibility import doubt_about_colors

SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
ADOBE_RGB = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
TISSUE = np.array([[[180, 80, 40], [90, 30, 15], [128, 128, 128]]], dtype=np.uint8)


def png(samples: np.ndarray = TISSUE, **chunks: bytes) -> bytes:
    buffer = BytesIO()
    Image.fromarray(samples).save(buffer, "PNG")
    content = buffer.getvalue()
    added = b"".join(
        struct.pack(">I", len(data)) + kind.encode() + data + struct.pack(">I", zlib.crc32(kind.encode() + data))
        for kind, data in chunks.items()
    )
    return content[:33] + added + content[33:]


def gamma_of(power: float) -> bytes:
    return struct.pack(">I", round(100000 / power))


def primaries_of(numbers: tuple[int, ...]) -> bytes:
    return struct.pack(">8I", *numbers)


def in_srgb(profile: bytes) -> np.ndarray:
    """`TISSUE` as sRGB, by LittleCMS."""
    read = ImageCms.ImageCmsProfile(BytesIO(profile))
    transform = ImageCms.buildTransform(read, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    return np.asarray(ImageCms.applyTransform(Image.fromarray(TISSUE), transform)).astype(int)


def test_other_primaries_mean_the_same_colours_in_the_profile(tmp_path) -> None:
    read = decode_photograph(png(gAMA=gamma_of(2.2), cHRM=primaries_of(ADOBE_RGB)), "eye.png")
    # By the formulas of both colour spaces (IEC 61966-2-1; Adobe RGB (1998), 4.3).
    light = (TISSUE / 255) ** 2.2
    to_xyz = [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
    to_srgb = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    light = (light @ np.array(to_xyz).T @ np.array(to_srgb).T).clip(0, 1)
    expected = 255 * np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(in_srgb(read.icc_profile), expected, atol=2)
    assert "has the colour profile 'PNG gAMA 0.45, cHRM'" in doubt_about_colors(read, "eye.png")
    write_photograph(read, tmp_path / "again.png")
    assert read_photograph(tmp_path / "again.png").icc_profile == read.icc_profile


def test_linear_light_is_told() -> None:
    read = decode_photograph(png(gAMA=gamma_of(1)), "eye.png")
    assert (in_srgb(read.icc_profile) > TISSUE + 20).all()
    assert doubt_about_colors(read, "eye.png")


@pytest.mark.parametrize(
    "content",
    [
        png(),
        png(gAMA=gamma_of(2.2)),
        png(gAMA=gamma_of(2.2), cHRM=primaries_of(SRGB)),
        png(sRGB=b"\0", gAMA=gamma_of(1), cHRM=primaries_of(ADOBE_RGB)),
        png(gAMA=gamma_of(1), cHRM=primaries_of((0,) * 8)),
        png(cHRM=primaries_of((31270, 32900) * 4)),
        png(TISSUE[:, :, 0], gAMA=gamma_of(1)),
    ],
    ids=["none", "gamma", "sRGB's", "sRGB by a chunk that outranks them", "none that can be", "one point", "grey"],
)
def test_no_profile_is_made_up(content: bytes) -> None:
    assert decode_photograph(content, "eye.png").icc_profile is None


@settings(deadline=None, max_examples=60)
@given(gamma=st.integers(0, 2**32 - 1), numbers=st.lists(st.integers(0, 2**32 - 1), min_size=8, max_size=8))
def test_whatever_the_chunks_say_the_picture_is_read(gamma: int, numbers: list[int]) -> None:
    content = png(gAMA=struct.pack(">I", gamma), cHRM=primaries_of(tuple(numbers)))
    read = decode_photograph(content, "eye.png")
    np.testing.assert_array_equal(np.rint(255 * read.pixels), TISSUE)
