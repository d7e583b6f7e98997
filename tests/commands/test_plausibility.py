"""No photograph of a fundus is refused for not looking like one, in colour or in grey."""

from pathlib import Path

import pytest

from retina_adapt.commands.plausibility import require_fundus
from retina_adapt.imaging import find_field_of_view, find_photographs, read_photograph


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
