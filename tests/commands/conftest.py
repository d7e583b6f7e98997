"""A toy backbone and an adaptor that changes the picture, on disk, and drawn photographs."""

from pathlib import Path

import pytest
from toy_files import save_toy_adaptor

from retina_adapt.backbones import ReconstructionBackbone
from retina_adapt.commands.draw import draw_photographs


@pytest.fixture
def toy_adaptor_folder(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    save_toy_adaptor(toy_backbone, tmp_path / "made", seed=0)
    return tmp_path / "made"


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Four photographs, two of them in a subfolder."""
    folder = tmp_path / "photographs"
    draw_photographs(folder, count=4, seed=0, size=112)
    (folder / "second visit").mkdir()
    for path in sorted(folder.glob("*.png"))[2:]:
        path.rename(folder / "second visit" / path.name)
    return folder
