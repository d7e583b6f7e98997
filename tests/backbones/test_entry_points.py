"""Backbones of other packages: the example of docs/backbones.md works as printed, and a defective package is named."""

import re
import sys
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from installed_package import install_package
from new_process import run_script

from retina_adapt.backbones import (
    BackboneEntryPointError,
    BackboneFileError,
    BackboneShape,
    backbone_names,
    build_backbone,
    load_backbone,
    save_backbone,
)
from retina_adapt.backbones.registry import ENTRY_POINT_GROUP

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "backbones.md"
install = partial(install_package, ENTRY_POINT_GROUP)

BUILD_AND_SAVE = """
import sys
from retina_adapt.backbones import AutoencoderShape, BackboneShape, DenoiserShape
from retina_adapt.backbones import backbone_names, build_backbone, save_backbone
assert "convnext-unet" in backbone_names()
shape = BackboneShape(
    name="convnext-unet",
    image_size=64,
    autoencoder=AutoencoderShape(channels=[16], latent_channels=4),
    denoiser=DenoiserShape(
        channels=[16, 16], attention=[False, False], attention_head_channels=8, normalization_groups=8
    ),
)
backbone = build_backbone(shape)
save_backbone(backbone, sys.argv[1])
print(backbone.fingerprint())
"""

# Without building one first: the folder alone tells which package's class to look for.
LOAD_AND_ADAPT = """
import sys, torch
from retina_adapt.adaptors import ResidualAdaptorConfig, adaptor_parameters, attach_adaptor
from retina_adapt.backbones import load_backbone, sample_latents
backbone = load_backbone(sys.argv[1])
print(backbone.fingerprint())
images = torch.rand(2, 3, 64, 64)
with torch.no_grad():
    frozen = backbone.decode(backbone.encode(images))
    adapted = attach_adaptor(backbone, ResidualAdaptorConfig(), "new")
    assert torch.equal(backbone.decode(backbone.encode(images)), frozen)
    for parameter in adaptor_parameters(adapted, "new"):
        parameter.normal_(std=0.1)
    latents = backbone.encode(images)
    assert latents.shape == (2, 4, 16, 16)
    assert backbone.decode(latents).shape == images.shape
    assert not torch.equal(backbone.decode(latents), frozen)
    assert sample_latents(backbone, latents, steps=2, seeds=[1, 2]).shape == latents.shape
"""


def printed_block(language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENTATION.read_text(encoding="utf-8"), re.M | re.S)
    return block


@pytest.mark.slow
def test_the_printed_package_builds_stores_loads_and_is_adapted(tmp_path: Path) -> None:
    entries = tomllib.loads(printed_block("toml"))["project"]["entry-points"][ENTRY_POINT_GROUP]
    (module,) = {value.split(":")[0] for value in entries.values()}
    (tmp_path / f"{module}.py").write_text(printed_block("python"))
    install(tmp_path, module, entries)
    printed = [
        run_script(script, tmp_path / "backbone", path=[tmp_path]) for script in (BUILD_AND_SAVE, LOAD_AND_ADAPT)
    ]
    assert printed[0] == printed[1]
    # Where the package is not installed, the class is unknown, and the error says where it may come from.
    with pytest.raises(BackboneFileError, match=r"ConvNeXtAutoencoder.*Install the package"):
        load_backbone(tmp_path / "backbone")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are installed to."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def test_a_package_that_cannot_be_imported_is_named_and_disturbs_no_other_backbone(
    site: Path, toy_shape: BackboneShape, tmp_path: Path
) -> None:
    install(site, "defective", {"broken-unet": "module_that_is_not_there:build"})
    assert "broken-unet" in backbone_names()
    save_backbone(build_backbone(toy_shape), tmp_path / "whole")
    load_backbone(tmp_path / "whole")
    with pytest.raises(BackboneEntryPointError, match=r"'broken-unet'.*package 'defective'.*module_that_is_not_there"):
        build_backbone(replace(toy_shape, name="broken-unet"))
    index = tmp_path / "whole" / "model_index.json"
    index.write_text(index.read_text().replace("KLAutoencoder", "BrokenAutoencoder"))
    with pytest.raises(BackboneEntryPointError, match="'defective'"):
        load_backbone(tmp_path / "whole")


PART = """
from retina_adapt.backbones import KLAutoencoder, register_part

@register_part
class {name}(KLAutoencoder):
    pass

build = None
"""


@pytest.mark.parametrize(
    ("defective", "reason"),
    [
        ({"broken-unet": "module_that_is_not_there:build"}, "cannot be imported"),
        ({"kl-unet": "json:loads"}, "registered already"),
    ],
)
@pytest.mark.usefixtures("forgotten_afterwards")
def test_a_defective_package_keeps_no_other_packages_backbone_from_being_read(
    defective: dict, reason: str, site: Path, toy_backbone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["FoundBeforeAutoencoder", "FoundAfterAutoencoder"]
    for package, name in zip(("a", "z"), names, strict=True):
        (site / f"module_{name}.py").write_text(PART.format(name=name))
        monkeypatch.delitem(sys.modules, f"module_{name}", raising=False)
        install(site, package, {f"{package}-unet": f"module_{name}:build"})
    install(site, "defective", defective)
    index, last = toy_backbone_folder / "model_index.json", "KLAutoencoder"
    for name in names:
        index.write_text(index.read_text().replace(last, name))
        assert type(load_backbone(toy_backbone_folder).autoencoder).__name__ == name
        last = name
    # Only where a class stays unknown is a defective package the likely reason.
    index.write_text(index.read_text().replace(last, "AbsentAutoencoder"))
    with pytest.raises(BackboneEntryPointError, match=f"'AbsentAutoencoder'.*package 'defective'.*{reason}") as raised:
        load_backbone(toy_backbone_folder)
    assert str(index) in str(raised.value)


@pytest.mark.parametrize(
    "packages",
    [
        {"one": {"kl-unet": "json:loads"}},
        {"one": {"new-unet": "json:loads"}, "other": {"new-unet": "json:dumps"}},
    ],
)
@pytest.mark.usefixtures("forgotten_afterwards")
def test_a_name_that_is_taken_is_refused_with_the_package_that_takes_it_and_no_other_is(
    packages: dict, site: Path, toy_shape: BackboneShape
) -> None:
    for package, entries in packages.items():
        install(site, package, entries)
    (name,) = packages["one"]
    assert {name, "vq-unet"} <= set(backbone_names())
    build_backbone(replace(toy_shape, name="vq-unet"))
    # Asked for again, one of them is registered.
    for _ in range(2):
        with pytest.raises(BackboneEntryPointError, match=r"package '(one|other)'.*registered already"):
            build_backbone(replace(toy_shape, name=name))


REGISTERED_TWICE = """
from retina_adapt.backbones import build_isotropic_autoencoder, build_unet_denoiser
from retina_adapt.backbones import latent_diffusion_builder, register_backbone

build = register_backbone("new-unet")(latent_diffusion_builder(build_isotropic_autoencoder, build_unet_denoiser))
"""


@pytest.mark.usefixtures("forgotten_afterwards")
def test_a_builder_may_be_registered_by_its_module_and_its_entry_point(
    site: Path, toy_shape: BackboneShape, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "module_of_new_unet.py").write_text(REGISTERED_TWICE)
    monkeypatch.delitem(sys.modules, "module_of_new_unet", raising=False)
    install(site, "new", {"new-unet": "module_of_new_unet:build"})
    toy_shape.autoencoder.channels = [16]
    for _ in range(2):
        build_backbone(replace(toy_shape, name="new-unet"))
