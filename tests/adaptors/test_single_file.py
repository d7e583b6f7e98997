"""One file is the same adaptor as the folder it was exported from, and is read as strictly."""

from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_adaptors import equal, outputs
from toy_files import CARD, CONFIG, TENSORS, change_tensors, save_toy_adaptor

from retina_adapt.adaptors import AdaptorFileError, backbone_tensors, describe_adaptor, load_adaptor
from retina_adapt.adaptors.files import read_adaptor
from retina_adapt.adaptors.single_file import export_single_file, read_card
from retina_adapt.backbones import ReconstructionBackbone, fingerprint_tensors


@pytest.fixture
def adaptor(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    save_toy_adaptor(toy_backbone, tmp_path / "adaptor")
    return tmp_path / "adaptor"


@pytest.fixture
def file(adaptor: Path, tmp_path: Path) -> Path:
    export_single_file(adaptor, tmp_path / "shared" / "light.safetensors")
    return tmp_path / "shared" / "light.safetensors"


def test_it_loads_as_the_folder_does_without_the_folder(
    adaptor: Path, file: Path, toy_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = load_adaptor(toy_backbone, adaptor, "folder")
    expected = outputs(toy_backbone, frames)
    description, card = describe_adaptor(adaptor), (adaptor / CARD).read_text()
    adapted.unload()
    for path in adaptor.iterdir():
        path.unlink()
    load_adaptor(toy_backbone, file, "file")
    assert equal(outputs(toy_backbone, frames), expected)
    assert describe_adaptor(file).to_dict() == description.to_dict()
    assert read_card(file) == card


def test_exporting_again_gives_the_same_bytes(adaptor: Path, file: Path, tmp_path: Path) -> None:
    export_single_file(adaptor, tmp_path / "from_folder.safetensors")
    export_single_file(file, tmp_path / "from_file.safetensors")
    assert (tmp_path / "from_folder.safetensors").read_bytes() == file.read_bytes()
    assert (tmp_path / "from_file.safetensors").read_bytes() == file.read_bytes()


def test_any_program_for_safetensors_reads_its_tensors(adaptor: Path, file: Path) -> None:
    tensors, expected = safetensors.torch.load_file(file), safetensors.torch.load_file(adaptor / TENSORS)
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def test_nothing_is_overwritten_and_nothing_damaged_is_exported(adaptor: Path, file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(AdaptorFileError, match="exists already"):
        export_single_file(adaptor, file)
    assert file.read_bytes() == before
    with pytest.raises(AdaptorFileError, match=r"named \*\.safetensors"):
        export_single_file(adaptor, tmp_path / "light.zip")
    change_tensors(adaptor, lambda t: t.update({name: tensor + 1 for name, tensor in t.items()}))
    with pytest.raises(AdaptorFileError, match="do not give the sha256"):
        export_single_file(adaptor, tmp_path / "damaged.safetensors")
    assert not (tmp_path / "damaged.safetensors").exists()


def test_the_tensors_of_a_folder_are_no_single_file(adaptor: Path) -> None:
    with pytest.raises(AdaptorFileError, match="give the whole adaptor folder"):
        describe_adaptor(adaptor / TENSORS)
    with pytest.raises(AdaptorFileError, match="not a whole safetensors file"):
        describe_adaptor(adaptor / CONFIG)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255), truncated=st.booleans())
def test_any_damage_loads_the_identical_adaptor_or_is_refused(
    position: float, flipped: int, truncated: bool, file: Path, toy_backbone: ReconstructionBackbone
) -> None:
    whole, (description, expected) = file.read_bytes(), read_adaptor(file)
    before = fingerprint_tensors(backbone_tensors(toy_backbone))
    place = int(position * len(whole))
    rest = b"" if truncated else bytes([whole[place] ^ flipped]) + whole[place + 1 :]
    file.write_bytes(whole[:place] + rest)
    message = str(file)
    try:
        load_adaptor(toy_backbone, file, "fuzzed").unload()
        read, tensors = read_adaptor(file)
        assert read.to_dict() == description.to_dict()
        assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    except AdaptorFileError as error:
        message = str(error)
    finally:
        file.write_bytes(whole)
    assert str(file) in message
    assert fingerprint_tensors(backbone_tensors(toy_backbone)) == before
