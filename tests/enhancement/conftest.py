"""An enhancer whose adaptor changes the picture."""

from pathlib import Path

import pytest
from toy_adaptors import METADATA, config_of, disturb

from retina_adapt.adaptors import attach_adaptor, save_adaptor
from retina_adapt.backbones import load_backbone
from retina_adapt.enhancement import Enhancer


@pytest.fixture
def toy_adaptor_folder(toy_backbone_folder: Path, tmp_path: Path) -> Path:
    """An adaptor of the toy backbone that changes the picture."""
    adapted = attach_adaptor(load_backbone(toy_backbone_folder), config_of("residual"), "made")
    disturb(adapted, "made")
    save_adaptor(adapted, "made", tmp_path / "made", METADATA)
    return tmp_path / "made"


@pytest.fixture
def toy_enhancer(toy_backbone_folder: Path, toy_adaptor_folder: Path) -> Enhancer:
    """The toy backbone, of frames of 64 px, with that adaptor."""
    enhancer = Enhancer.from_pretrained(toy_backbone_folder)
    enhancer.load_adaptor(toy_adaptor_folder)
    return enhancer
