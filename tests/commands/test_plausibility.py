"""No photograph of a fundus is refused for not looking like one; colours of another profile are told."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageCms

from retina_adapt.commands.plausibility import doubt_about_colors, require_fundus
from retina_adapt.imaging import Photograph, find_field_of_view, find_photographs, read_photograph


@pytest.mark.corpus
@pytest.mark.parametrize("data_set", ["hrf", "chase_db1", "csdi"])
def test_photographs_of_the_corpus_are_photographs_of_a_fundus(corpus: Path, data_set: str) -> None:
    photographs = find_photographs(corpus / data_set / "validation")
    assert photographs
    for path in photographs:
        pixels = read_photograph(path).pixels
        found = find_field_of_view(pixels, name=path.name)
        assert require_fundus(pixels, found, path.name) == ""
        assert "is grey" in require_fundus(pixels.mean(axis=2, keepdims=True), found, path.name)


def profile_with_other_primaries() -> bytes:
    """That of sRGB with its red and blue exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def test_a_colour_profile_that_is_not_that_of_srgb_is_told() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = np.full((4, 4, 3), 0.5, dtype=np.float32)
    doubt = doubt_about_colors(Photograph(pixels, icc_profile=profile_with_other_primaries()), "eye.jpg")
    assert doubt.startswith("eye.jpg: has the colour profile 'sRGB built-in', and was enhanced as if it were sRGB")
    for photograph in (
        Photograph(pixels),
        Photograph(pixels, icc_profile=srgb),
        Photograph(pixels, icc_profile=b"damaged"),
        Photograph(pixels[:, :, :1], icc_profile=profile_with_other_primaries()),
    ):
        assert doubt_about_colors(photograph, "eye.jpg") == ""
