"""`retina-adapt adaptors`, verb by verb: what people and scripts read."""

import json
from pathlib import Path

import pytest
import yaml
from test_peft_layout import lora_of_peft
from toy_adaptors import METADATA
from toy_files import TENSORS, change_config, save_toy_adaptor
from typer.testing import CliRunner

from retina_adapt.adaptors import AdaptorFileError, MetadataError, describe_adaptor
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.cli import app

ADAPTOR = "light"


def run(*arguments: object) -> str:
    """All that `retina-adapt adaptors` printed; errors of ours are raised, as `main` would show them."""
    result = CliRunner().invoke(app, ["adaptors", *(str(argument) for argument in arguments)])
    if isinstance(result.exception, Exception):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def run_json(*arguments: object) -> object:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def folder(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    """A folder of two adaptors, one of them damaged."""
    save_toy_adaptor(toy_backbone, tmp_path / "adaptors" / ADAPTOR)
    save_toy_adaptor(toy_backbone, tmp_path / "adaptors" / "damaged")
    change_config(tmp_path / "adaptors" / "damaged", lambda config: config.update(surprise=1))
    return tmp_path / "adaptors"


def test_the_list_holds_whole_and_damaged_adaptors(folder: Path) -> None:
    listed = {entry["adaptor"]: entry for entry in run_json("list", folder)}
    assert listed[str(folder / ADAPTOR)]["configuration"] == describe_adaptor(folder / ADAPTOR).to_dict()
    assert listed[str(folder / ADAPTOR)]["problem"] is None
    assert listed[str(folder / ADAPTOR)]["megabytes"] == (folder / ADAPTOR / TENSORS).stat().st_size / 1e6
    assert listed[str(folder / "damaged")]["configuration"] is None
    assert "exactly the keys" in listed[str(folder / "damaged")]["problem"]
    text = run("list", folder)
    assert "residual" in text
    assert "cannot be read" in text


def test_a_folder_that_does_not_exist_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(AdaptorFileError, match="no such folder"):
        run("list", tmp_path / "missing")


def test_info_says_what_the_configuration_does(folder: Path) -> None:
    description = describe_adaptor(folder / ADAPTOR).to_dict()
    assert run_json("info", folder / ADAPTOR) == {"path": str(folder / ADAPTOR), **description}
    text = run("info", folder / ADAPTOR)
    assert f"sha256: {description['sha256']}" in text
    assert "degradation: light" in text
    assert "data_sets: drawn photographs\n" in text
    assert "    fast psnr: 21.5\n" in text


def test_verify_finds_an_adaptor_whole_and_fitting_or_says_what_is_wrong(
    folder: Path, toy_backbone_folder: Path
) -> None:
    sha256 = describe_adaptor(folder / ADAPTOR).sha256
    assert sha256 in run("verify", folder / ADAPTOR)
    verified = run_json("verify", folder / ADAPTOR, "--backbone", toy_backbone_folder)
    assert verified == {
        "adaptor": str(folder / ADAPTOR),
        "whole": True,
        "fits": str(toy_backbone_folder),
        "sha256": sha256,
    }
    tensors = folder / ADAPTOR / TENSORS
    tensors.write_bytes(tensors.read_bytes()[:-4] + bytes(4))
    with pytest.raises(AdaptorFileError, match="do not give the sha256"):
        run("verify", folder / ADAPTOR)


def test_diff_says_what_differs(folder: Path, toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    save_toy_adaptor(toy_backbone, tmp_path / "other", seed=1)
    compared = run_json("diff", folder / ADAPTOR, tmp_path / "other")
    assert compared["hot_swappable"]
    assert not compared["identical"]
    assert all(distance >= 0 for distance in compared["distances"].values())
    assert "hot-swappable: yes" in run("diff", folder / ADAPTOR, tmp_path / "other")
    assert "identical" in run("diff", folder / ADAPTOR, folder / ADAPTOR)


def test_a_dry_publication_lists_what_would_be_uploaded(folder: Path) -> None:
    published = run_json("publish", folder / ADAPTOR, "clinic/light", "--dry-run")
    assert published["revision"] is None
    assert published["sha256"] == describe_adaptor(folder / ADAPTOR).sha256
    assert published["files"] == {path.name: path.stat().st_size for path in (folder / ADAPTOR).iterdir()}
    assert "nothing was uploaded" in run("publish", folder / ADAPTOR, "clinic/light", "--dry-run")


def test_export_writes_the_form_asked_for(folder: Path, tmp_path: Path) -> None:
    run("export", folder / ADAPTOR, tmp_path / "light.safetensors")
    assert describe_adaptor(tmp_path / "light.safetensors") == describe_adaptor(folder / ADAPTOR)
    run("export", folder / ADAPTOR, tmp_path / "peft", "--form", "peft")
    assert (tmp_path / "peft" / "adapter_config.json").is_file()


@pytest.fixture
def lora(toy_backbone_folder: Path, tmp_path: Path) -> Path:
    lora_of_peft(load_backbone(toy_backbone_folder)).save_pretrained(tmp_path / "lora")
    return tmp_path / "lora"


def write_metadata(path: Path, **changes: object) -> Path:
    values = {key: value for key, value in METADATA.to_dict().items() if key not in ("name", "backbone_name", "recipe")}
    path.write_text(yaml.safe_dump(values | changes))
    return path


def test_an_imported_lora_is_an_adaptor_with_the_given_metadata(
    lora: Path, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    metadata = write_metadata(tmp_path / "metadata.yaml", seed=None, pairs_seen=None)
    ours = tmp_path / "adaptors" / "imported-lora"
    run("import", lora, ours, "--backbone", toy_backbone_folder, "--metadata", metadata)
    description = describe_adaptor(ours)
    assert description.kind == "lora"
    assert description.metadata.name == "imported-lora"
    assert description.metadata.backbone_name == toy_backbone_folder.name
    assert description.metadata.recipe == "imported from PEFT or diffusers"
    card = (ours / "README.md").read_text()
    assert "None" not in card
    assert "imported from PEFT or diffusers" in card
    run("verify", ours, "--backbone", toy_backbone_folder)
    with pytest.raises(AdaptorFileError, match="exists already"):
        run("import", lora, ours, "--backbone", toy_backbone_folder, "--metadata", metadata)


@pytest.mark.parametrize(
    ("changes", "message"), [({"colour": "red"}, "colour"), ({"license": None}, "license"), ({"seed": "x"}, "seed")]
)
def test_metadata_that_does_not_fit_imports_nothing(
    changes: dict, message: str, lora: Path, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    metadata = write_metadata(tmp_path / "metadata.yaml", **changes)
    with pytest.raises(MetadataError, match=message) as caught:
        run("import", lora, tmp_path / "ours", "--backbone", toy_backbone_folder, "--metadata", metadata)
    assert str(metadata) in str(caught.value)
    assert not (tmp_path / "ours").exists()
