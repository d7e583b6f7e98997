"""Saving replaces an adaptor whole or not at all, and what is no configuration is an error that names the file."""

from pathlib import Path

import pytest
import torch
from toy_adaptors import METADATA, attach, disturb

from retina_adapt.adaptors import (
    AdaptorFileError,
    adaptor_tensors,
    assign_adaptor_tensors,
    detach_adaptor,
    load_adaptor,
    merge_adaptor,
    save_adaptor,
)
from retina_adapt.adaptors import files as adaptor_files
from retina_adapt.backbones import (
    AdaptedBackboneError,
    ReconstructionBackbone,
    fingerprint_tensors,
    load_backbone,
    save_backbone,
)


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


@pytest.mark.parametrize("case", ["residual", "lora"])
def test_a_backbone_that_carries_adaptors_is_not_stored_over_a_good_one(
    case: str, toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path
) -> None:
    before = toy_backbone.fingerprint()
    adapted = attach(toy_backbone, case, "made")
    with pytest.raises(AdaptedBackboneError, match=r"`save_adaptor`.*`detach_adaptor`"):
        save_backbone(toy_backbone, toy_backbone_folder)
    if case == "lora":
        with merge_adaptor(adapted, "made"), pytest.raises(AdaptedBackboneError, match="adaptors are attached"):
            save_backbone(toy_backbone, toy_backbone_folder)
    assert load_backbone(toy_backbone_folder).fingerprint() == before
    detach_adaptor(adapted, "made")
    save_backbone(toy_backbone, toy_backbone_folder)
    assert load_backbone(toy_backbone_folder).fingerprint() == before


def test_an_adaptor_of_a_half_precision_backbone_which_would_fit_no_stored_one_is_refused_and_not_lost(
    toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    adapted = attach(toy_backbone.to(torch.bfloat16), "residual, bottleneck", "made")
    disturb(adapted, "made")
    with pytest.raises(AdaptorFileError, match=r"weights of torch\.bfloat16.*`assign_adaptor_tensors`"):
        save_adaptor(adapted, "made", tmp_path / "made", METADATA)
    assert not (tmp_path / "made").exists()
    whole = attach(load_backbone(toy_backbone_folder), "residual, bottleneck", "made")
    assign_adaptor_tensors(whole, "made", adaptor_tensors(adapted, "made"))
    description = save_adaptor(whole, "made", tmp_path / "made", METADATA)
    assert description.tensors_sha256 == fingerprint_tensors(adaptor_tensors(adapted, "made"))


def test_loading_on_a_half_precision_backbone_tells_of_the_precision(
    adaptor: Path, toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path, frames: torch.Tensor
) -> None:
    with pytest.raises(AdaptorFileError, match=r"weights of torch\.bfloat16; load the adaptor first"):
        load_adaptor(toy_backbone.to(torch.bfloat16), adaptor, "loaded")
    whole = load_backbone(toy_backbone_folder)
    load_adaptor(whole, adaptor, "loaded")
    expected = whole.encode(frames)
    half = whole.to(torch.bfloat16).encode(frames.bfloat16())
    torch.testing.assert_close(half.float(), expected, rtol=0.05, atol=0.05)


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
