"""A folder in which the documentation's blocks find what they name."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.embedded import embedded_folder


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: drawn photographs under the names that the pages use, and the recipes."""
    first, second = draw_photographs(tmp_path / "photographs", count=2, seed=0, size=128)
    picture = Image.open(first)
    picture.save(tmp_path / "photograph.png")
    picture.save(tmp_path / "photograph.jpg")
    second.unlink()
    Image.open(first).save(tmp_path / "photographs" / "eye.jpg")
    (tmp_path / "recipes").symlink_to(recipes_folder())
    # An adaptor of the reader's: a folder like any other.
    for folder in ("path/to/adaptor", "runs/pairs_few/adaptor"):
        shutil.copytree(embedded_folder("adaptors", "light"), tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path
