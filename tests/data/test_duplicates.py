"""Photographs that a collection holds twice."""

import io

import numpy as np
import pytest
from PIL import Image

from retina_adapt.data import PreparedPhotographs, find_duplicates, load_images, prepare_photograph
from retina_adapt.imaging import Photograph


def prepared(pixels: np.ndarray):
    return prepare_photograph(Photograph(pixels=pixels.astype(np.float32)), "eye", 128)


def copy_of(pixels: np.ndarray, scale: float, quality: int) -> np.ndarray:
    """The photograph resized and compressed as JPEG."""
    image = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer)) / 255


@pytest.mark.parametrize(("scale", "quality"), [(1.0, 60), (0.6, 85), (1.7, 75)])
def test_compressed_and_resized_copies_are_found(fundus_drawings, scale, quality):
    originals = [prepared(pixels) for pixels in fundus_drawings[:4]]
    copies = [prepared(copy_of(pixels, scale, quality)) for pixels in fundus_drawings[1:3]]
    assert find_duplicates(originals + copies) == [[1, 4], [2, 5]]


def test_a_copy_cut_to_the_eye_is_found(fundus_drawings):
    copy = np.pad(fundus_drawings[0], ((30, 0), (0, 40), (0, 0)))
    assert find_duplicates([prepared(fundus_drawings[0]), prepared(copy)]) == [[0, 1]]


def test_three_copies_are_one_group(fundus_drawings):
    eye = fundus_drawings[2]
    photographs = [prepared(copy_of(eye, scale, 90)) for scale in (1.0, 0.8, 1.2)]
    assert find_duplicates(photographs) == [[0, 1, 2]]


def test_different_eyes_and_empty_collections_give_no_group(fundus_drawings):
    assert find_duplicates(prepared(pixels) for pixels in fundus_drawings) == []
    assert find_duplicates([]) == []


@pytest.mark.corpus
def test_left_and_right_eyes_of_the_corpus_are_not_duplicates(corpus):
    photographs = PreparedPhotographs(load_images(corpus / "chase_db1"), 256)
    assert find_duplicates(photographs[index] for index in range(len(photographs))) == []


@pytest.mark.corpus
def test_the_photograph_that_the_corpus_holds_under_four_names_is_found(corpus):
    rows = load_images(corpus / "csdi").filter(
        lambda image: image["path"].endswith(
            ("lsy1.jpg", "lzq1.jpg", "lxw1.jpg", "yzl1.jpg", "nl_025.jpg", "lz-od.jpg")
        ),
        input_columns=["image"],
    )
    photographs = PreparedPhotographs(rows, 256)
    groups = find_duplicates(photographs[index] for index in range(len(photographs)))
    assert len(groups) == 1
    assert {photographs.names[index][-8:] for index in groups[0]} == {
        "lsy1.jpg",
        "lzq1.jpg",
        "lxw1.jpg",
        "yzl1.jpg",
    }
