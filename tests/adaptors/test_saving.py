"""Saving replaces an adaptor whole or not at all, and what is no configuration is an error that names the file."""

from pathlib import Path

import pytest
import torch
from toy_adaptors import METADATA, attach, disturb

from retina_adapt.adaptors import AdaptorFileError, detach_adaptor, load_adaptor, save_adaptor
from retina_adapt.adaptors import files as adaptor_files
from retina_adapt.backbones import ReconstructionBackbone


@pytest.fixture
def adaptor(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    """A good adaptor; the toy backbone itself is left without adaptors."""
    adapted = attach(toy_backbone, "residual, bottleneck", "made")
    disturb(adapted, "made")
    save_adaptor(adapted, "made", tmp_path / "adaptor", METADATA)
    detach_adaptor(adapted, "made")
    return tmp_path / "adaptor"


def test_loading_draws_no_random_numbers(adaptor: Path, toy_backbone: ReconstructionBackbone) -> None:
    state = torch.get_rng_state()
    load_adaptor(toy_backbone, adaptor, "loaded")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format_version": "1"}', "[]", "\x00"])
def test_any_other_json_is_an_error_that_names_the_file(
    text: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    (adaptor / "adaptor_config.json").write_text(text)
    with pytest.raises(AdaptorFileError, match=r"adaptor_config\.json"):
        load_adaptor(toy_backbone, adaptor, "loaded")


def test_saving_does_not_replace_a_folder_of_other_things(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "eye.png").touch()
    adapted = attach(toy_backbone, "residual", "made")
    with pytest.raises(AdaptorFileError, match="photographs"):
        save_adaptor(adapted, "made", tmp_path / "photographs", METADATA)
    assert (tmp_path / "photographs" / "eye.png").exists()


def test_a_save_that_fails_halfway_leaves_the_previous_adaptor_whole(
    adaptor: Path, toy_backbone: ReconstructionBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in adaptor.iterdir()}
    adapted = attach(toy_backbone, "residual", "newer")

    def fail(*_: object, **__: object) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr(adaptor_files, "render_card", fail)
    with pytest.raises(OSError, match="no space"):
        save_adaptor(adapted, "newer", adaptor, METADATA)
    assert {path.name: path.read_bytes() for path in adaptor.iterdir()} == before
    assert [path.name for path in adaptor.parent.iterdir() if path.name.startswith(".adaptor")] == []
