"""An enhancer whose adaptor changes the picture."""

from collections.abc import Callable
from pathlib import Path

import pytest
from toy_adaptors import METADATA, config_of, disturb

from retina_adapt.adaptors import attach_adaptor, save_adaptor
from retina_adapt.backbones import ReconstructionBackbone, load_backbone, save_backbone
from retina_adapt.enhancement import Enhancer


@pytest.fixture(scope="session")
def toy_backbone_folder(
    toy_backbone_of: Callable[..., ReconstructionBackbone], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The toy backbone on disk; read only."""
    folder = tmp_path_factory.mktemp("backbone") / "toy"
    save_backbone(toy_backbone_of("kl-unet"), folder)
    return folder


@pytest.fixture(scope="session")
def toy_adaptor_folder(toy_backbone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adaptor of the toy backbone that changes the picture; read only."""
    folder = tmp_path_factory.mktemp("adaptor") / "made"
    adapted = attach_adaptor(load_backbone(toy_backbone_folder), config_of("residual"), "made")
    disturb(adapted, "made")
    save_adaptor(adapted, "made", folder, METADATA)
    return folder


@pytest.fixture
def toy_enhancer(toy_backbone_folder: Path, toy_adaptor_folder: Path) -> Enhancer:
    """The toy backbone, of frames of 64 px, with that adaptor."""
    enhancer = Enhancer.from_pretrained(toy_backbone_folder)
    enhancer.load_adaptor(toy_adaptor_folder)
    return enhancer


@pytest.fixture(scope="session")
def adaptor_folders(toy_backbone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adaptors of the toy backbone that change the picture; read only."""
    made, folders = tmp_path_factory.mktemp("adaptors"), []
    for seed, name in enumerate(("first", "second")):
        backbone = load_backbone(toy_backbone_folder)
        adapted = attach_adaptor(backbone, config_of("residual"), name)
        disturb(adapted, name, seed)
        save_adaptor(adapted, name, made / name, METADATA)
        folders.append(made / name)
    return folders


@pytest.fixture
def enhancer(toy_backbone_folder: Path, adaptor_folders: list[Path]) -> Enhancer:
    """The toy backbone with the first of these adaptors."""
    enhancer = Enhancer.from_pretrained(toy_backbone_folder)
    enhancer.load_adaptor(adaptor_folders[0])
    return enhancer
