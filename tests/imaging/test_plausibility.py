"""No photograph of a fundus is refused for not looking like one; colours of another profile are told."""

import re
import struct
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from retina_adapt.imaging import (
    Photograph,
    decode_photograph,
    find_field_of_view,
    find_photographs,
    read_photograph,
)
from retina_adapt.imaging.plausibility import doubt_about_colors, doubt_about_samples, require_fundus
from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.mark.corpus
@pytest.mark.parametrize("data_set", ["hrf", "chase_db1", "csdi"])
def test_photographs_of_the_corpus_are_photographs_of_a_fundus(corpus: Path, data_set: str) -> None:
    photographs = find_photographs(corpus / data_set / "validation")
    assert photographs
    for path in photographs:
        pixels = read_photograph(path).pixels
        found = find_field_of_view(pixels, name=path.name)
        assert require_fundus(pixels, found, path.name) == ""
        assert doubt_about_samples(Photograph(pixels), path.name) == ""
        assert "is grey" in require_fundus(pixels.mean(axis=2, keepdims=True), found, path.name)


def test_a_stretched_photograph_is_doubtful() -> None:
    pixels = cv2.resize(draw_fundus(seed=1, size=256)[0], (384, 256))
    assert "ellipse" in require_fundus(pixels, find_field_of_view(pixels), "eye.jpg")


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# X, Y, Z of red, green and blue under D50, as the standards' own profiles state them.
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def profile_of(primaries=(), gamma: float | None = None) -> bytes:
    """That of sRGB with other primaries, or with a plain power for its tones (ICC.1, 10.18 and 10.31)."""
    profile = bytearray(SRGB)

    def set_numbers(tag: bytes, start: int, numbers) -> None:
        entry = profile.index(tag, 128)
        place = struct.unpack(">I", profile[entry + 4 : entry + 8])[0] + start
        struct.pack_into(f">{len(numbers)}i", profile, place, *(round(2**16 * number) for number in numbers))

    for tag, numbers in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=False):
        set_numbers(tag, 8, numbers)
    for tag in (b"rTRC", b"gTRC", b"bTRC") if gamma else ():
        set_numbers(tag, 12, (gamma, 1, 0, 1, 0))
    return bytes(profile)


@pytest.mark.parametrize("primaries", [ADOBE_RGB, DISPLAY_P3])
def test_a_colour_profile_that_is_not_that_of_srgb_is_told(primaries) -> None:
    photograph = Photograph(np.full((4, 4, 3), 0.5, dtype=np.float32), icc_profile=profile_of(primaries))
    doubt = doubt_about_colors(photograph, "eye.jpg")
    assert doubt.startswith("eye.jpg: has the colour profile 'sRGB built-in', but its colours are taken for sRGB")
    assert doubt.endswith("convert it to sRGB first")


@pytest.mark.parametrize("profile", [None, SRGB, profile_of(gamma=2.2), b"damaged"])
def test_no_other_profile_is(profile) -> None:
    pixels = np.full((4, 4, 3), 0.5, dtype=np.float32)
    assert doubt_about_colors(Photograph(pixels, icc_profile=profile), "eye.jpg") == ""


def test_a_grey_photograph_has_no_colours_to_be_wrong() -> None:
    grey = Photograph(np.full((4, 4, 1), 0.5, dtype=np.float32), icc_profile=profile_of(ADOBE_RGB))
    assert doubt_about_colors(grey, "eye.jpg") == ""


def uncompressed(pixels: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(np.rint(255 * pixels).astype(np.uint8)).save(stream, "TIFF")
    return stream.getvalue()


@pytest.mark.parametrize("share", [0.4, 0.5, 0.6])
def test_a_file_whose_end_was_never_copied_is_doubted(share: float) -> None:
    pixels = draw_fundus(0, 512)[0]
    content = uncompressed(pixels)
    kept = int(share * len(content)) // 4096 * 4096
    # Where copying ends amid a row, and amid the eye.
    kept += 3 * 256 - kept % (3 * 512)
    cut_off = decode_photograph(content[:kept] + bytes(len(content) - kept), "eye.tif")
    told = doubt_about_samples(cut_off, "eye.tif")
    assert re.fullmatch(r"eye\.tif: is black from the middle of row \d+ of 512 on, .*compare it with its source", told)


@pytest.mark.parametrize("seed", range(4))
def test_black_below_an_eye_is_not_doubted(seed: int) -> None:
    pixels = draw_fundus(seed, 200)[0]
    black = np.where(pixels.max(axis=2, keepdims=True) < 0.06, 0, pixels)
    # As cameras mask an eye, as one is padded, and nothing at all.
    for shown in (black, np.concatenate([black[40:120], 0 * black[:40]]), 0 * black):
        assert doubt_about_samples(Photograph(shown.astype(np.float32)), "eye.tif") == ""


def test_writing_that_dicom_says_is_in_the_picture_is_told(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install '.[dicom]'")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.5.1", "1.2.3.1"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.PlanarConfiguration = 4, 4, 3, 0
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.add_new("PixelData", "OB", bytes(range(48)))
    for said, is_told in (("YES", True), ("NO", False), (None, False)):
        dataset.BurnedInAnnotation = said
        pydicom.dcmwrite(tmp_path / "eye.dcm", dataset, enforce_file_format=True)
        photograph = read_photograph(tmp_path / "eye.dcm")
        assert ("writing in the picture" in doubt_about_samples(photograph, "eye.dcm")) == is_told
