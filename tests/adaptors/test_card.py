"""The card is complete, is what the Hub reads, and its commands and code are those of this package."""

import dataclasses
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy_adaptors import METADATA
from toy_files import CARD, save_toy_adaptor
from typer.testing import CliRunner

from retina_adapt.adaptors import AdaptorMetadata, AdaptorSettings
from retina_adapt.adaptors.card import render_card
from retina_adapt.adaptors.description import AdaptorDescription
from retina_adapt.backbones import ReconstructionBackbone
from retina_adapt.cli import app
from retina_adapt.imaging.synthetic_fundus import draw_fundus

MEASURED = dataclasses.replace(
    METADATA,
    name="light-2024",
    metrics={
        "fast psnr": 25.3,
        "fast psnr_degraded": 16.7,
        "fast ssim": 0.885,
        "fast ssim_degraded": 0.768,
        "lpips": 0.2,
    },
)


def card_of(metadata: AdaptorMetadata) -> str:
    settings = AdaptorSettings().to_peft_config()
    description = AdaptorDescription("b" * 64, settings, metadata, "a" * 64)
    return render_card(description, parameters=1234, tensor_bytes=5_000_000)


def test_the_card_says_what_the_adaptor_is_where_it_comes_from_and_what_was_measured(
    toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    description = save_toy_adaptor(toy_backbone, tmp_path / "adaptor", metadata=MEASURED)
    card = (tmp_path / "adaptor" / CARD).read_text()
    assert card.split("---\n")[2].startswith("# light-2024\n")
    for expected in (
        "**light**, severity 0.4 to 0.9",
        "residual in encoder",
        "- drawn photographs",
        "Apache-2.0",
        f"fingerprint `{description.backbone_fingerprint}`",
        f"| sha256 | `{description.sha256}` |",
        "| fast psnr | 16.7 | 25.3 | +8.6 |",
        "| fast ssim | 0.768 | 0.885 | +0.117 |",
        "| lpips | not measured | 0.2 | |",
        "made up",
        "testing",
    ):
        assert expected in card
    for placeholder in ("None", "unnamed", "TODO", "{", "made\n"):
        assert placeholder not in card


def test_without_a_name_in_the_metadata_the_card_bears_the_attached_name_not_the_folders(
    toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    save_toy_adaptor(toy_backbone, tmp_path / "adaptor")
    assert "\n# made\n" in (tmp_path / "adaptor" / CARD).read_text()


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("CC-BY-NC-4.0", {"license": "cc-by-nc-4.0"}),
        ("LicenseRef-Clinic", {"license": "other", "license_name": "licenseref-clinic"}),
    ],
)
def test_the_header_holds_a_licence_that_the_hub_accepts(license: str, expected: dict) -> None:
    header = yaml.safe_load(card_of(dataclasses.replace(METADATA, name="a", license=license)).split("---\n")[1])
    assert {key: value for key, value in header.items() if key.startswith("license")} == expected
    assert header["library_name"] == "retina_adapt"
    assert "light" in header["tags"]


def test_an_adaptor_without_measurements_says_so() -> None:
    card = card_of(dataclasses.replace(METADATA, name="a", metrics={}))
    assert "Nothing was measured" in card
    assert "| measure |" not in card


TEXT = st.text(max_size=30)


@given(degradation=TEXT, recipe=TEXT, credit=TEXT, backbone=TEXT, license=TEXT)
def test_any_text_stays_in_its_place(degradation: str, recipe: str, credit: str, backbone: str, license: str) -> None:
    metadata = dataclasses.replace(
        METADATA,
        name="a",
        degradation=degradation,
        recipe=recipe,
        data_sets=[credit],
        backbone_name=backbone,
        license=license,
    )
    card = card_of(metadata)
    header, _, body = card.removeprefix("---\n").partition("---\n# a\n")
    assert yaml.safe_load(header)["pipeline_tag"] == "image-to-image"
    rows = [line for line in body.splitlines() if line.startswith("| ") and "measure" not in line]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (3, 5) for row in rows)
    assert body.count("\n## ") == 4
    (command,) = [line for line in body.splitlines() if line.startswith("retina-adapt enhance")]
    *_, option, value = shlex.split(command)
    assert (option, value) == ("--backbone", " ".join(backbone.split()))


def test_the_cards_commands_and_code_run(
    toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_toy_adaptor(toy_backbone, tmp_path / "light-2024", metadata=MEASURED)
    monkeypatch.chdir(tmp_path)
    assert toy_backbone_folder.name == METADATA.backbone_name
    photograph = Image.fromarray(np.rint(draw_fundus(1, 160)[0] * 255).astype(np.uint8))
    Path("photographs").mkdir()
    photograph.save("photograph.png")
    photograph.save("photographs/one.png")
    card = (tmp_path / "light-2024" / CARD).read_text()
    commands, code = (re.search(rf"```{language}\n(.*?)```", card, re.DOTALL)[1] for language in ("sh", "python"))
    for command in commands.splitlines():
        result = CliRunner().invoke(app, command.split()[1:], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert Path("enhanced/one.png").is_file()
    names: dict[str, object] = {}
    exec(code, names)
    assert names["enhanced"].size == photograph.size
