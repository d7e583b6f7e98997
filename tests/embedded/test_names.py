"""Embedded models go by their names, whatever else bears them in the working directory."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from retina_adapt.adaptors import describe_adaptor
from retina_adapt.backbones import load_backbone
from retina_adapt.embedded import (
    DEFAULT_BACKBONE,
    UnknownModelError,
    adaptor_folder,
    backbone_folder,
    embedded_folder,
    embedded_names,
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("find", "name"), [(adaptor_folder, "light"), (backbone_folder, DEFAULT_BACKBONE)])
def test_a_folder_of_photographs_does_not_take_the_place_of_an_embedded_model(
    find: Callable[[str], Path], name: str, here: Path
) -> None:
    embedded = find(name)
    (here / name).mkdir()
    (here / name / "eye.png").write_bytes(b"")
    assert find(name) == embedded
    assert find(f"./{name}/") == Path(name)  # unless it is meant, as its slash says


@pytest.mark.parametrize(("find", "name"), [(adaptor_folder, "light"), (backbone_folder, DEFAULT_BACKBONE)])
def test_a_model_of_the_users_own_wins_over_the_embedded_one_of_its_name(
    find: Callable[[str], Path], name: str, here: Path
) -> None:
    embedded = find(name)
    shutil.copytree(embedded, here / name)
    assert find(name) == Path(name)
    assert embedded_folder(embedded.parent.name, name) == embedded


@pytest.mark.parametrize(("find", "name"), [(adaptor_folder, "light"), (backbone_folder, DEFAULT_BACKBONE)])
@pytest.mark.parametrize("own_name", ["own", "same"])
def test_a_model_moved_aside_by_a_killed_writer_is_found(
    find: Callable[[str], Path], name: str, own_name: str, here: Path
) -> None:
    own = name if own_name == "same" else own_name
    shutil.copytree(find(name), here / f".{own}.previous")
    assert find(own) == Path(own)
    assert not (here / f".{own}.previous").exists()


def test_what_is_neither_is_an_error_that_suggests_the_nearest_name(here: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"lihgt: neither a folder.*did you mean 'light'"):
        adaptor_folder("lihgt")


def test_every_embedded_model_is_what_its_name_says() -> None:
    for name in embedded_names("adaptors"):
        assert describe_adaptor(adaptor_folder(name)).metadata.name == name
    for name in embedded_names("backbones"):
        load_backbone(backbone_folder(name))
