"""Every Python block of the documentation runs, those of a page one after the other, as a reader would type them."""

import ast
import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from documented_blocks import ROOT, blocks, pages_with
from toy_files import save_toy_adaptor

from retina_adapt.adaptors import AdaptorSettings
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.degradations import registry
from retina_adapt.embedded import backbone_folder
from retina_adapt.imaging import Provenance, UsedAdaptor, read_photograph, write_photograph

# Of these, only that they compile and that what they import is there.
NOT_RUN = {
    "docs/app.md": "serves until it is stopped; tests/app/test_server.py talks to the server",
    "docs/backbones.md": "the module of another package; tests/backbones/test_entry_points.py installs and uses it",
}


def given_for_adaptors(backbone: ReconstructionBackbone) -> None:
    """An adaptor on disk, of the backbone that the page loads."""
    lora = AdaptorSettings(kind="lora", rank=8)
    save_toy_adaptor(load_backbone(backbone_folder("nano")), Path("adaptors/haze"), settings=lora)


def given_for_data(backbone: ReconstructionBackbone) -> None:
    """Pairs."""
    draw_photographs(Path("pairs/low"), count=1, seed=0, size=96)


def given_for_extending(backbone: ReconstructionBackbone) -> None:
    """A pair."""
    for side in ("low", "high"):
        draw_photographs(Path("pairs") / side, count=1, seed=0, size=96)


def given_for_trust(backbone: ReconstructionBackbone) -> None:
    """An adaptor on disk, and an enhanced photograph that says where it came from."""
    save_toy_adaptor(backbone, Path("path/to/adaptor"))
    digits = hashlib.sha256().hexdigest()
    provenance = Provenance("retina_adapt", "toy", digits, (UsedAdaptor("light", digits),), "fast")
    photograph = read_photograph("photographs/eye.jpg")
    write_photograph(dataclasses.replace(photograph, provenance=provenance), "enhanced/eye.jpg")


# The files that a page's text says are there.
GIVEN: dict[str, Callable[[ReconstructionBackbone], None]] = {
    "docs/adaptors.md": given_for_adaptors,
    "docs/data.md": given_for_data,
    "docs/extending.md": given_for_extending,
    "docs/trust.md": given_for_trust,
}


@pytest.mark.parametrize("page", sorted(set(pages_with("python")) - set(NOT_RUN)))
def test_the_python_blocks_of_a_page_run(
    page: str, workplace: Path, toy_backbone: ReconstructionBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a page registers is not registered for other tests.
    for name in ("_DEGRADATIONS", "_PRESETS", "_SETTLED"):
        monkeypatch.setattr(registry, name, getattr(registry, name).copy())
    if page in GIVEN:
        GIVEN[page](toy_backbone)
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.language == "python":
            # As many lines above as in the page, for the traceback.
            exec(compile("\n" * block.line + block.text, ROOT / page, "exec"), names)


@pytest.mark.parametrize("page", NOT_RUN)
def test_the_imports_of_a_block_that_is_not_run_are_there(page: str) -> None:
    parsed = [ast.parse(block.text) for block in blocks(page) if block.language == "python"]
    imports = [line for block in parsed for line in block.body if isinstance(line, ast.Import | ast.ImportFrom)]
    assert imports
    exec(compile(ast.Module(imports, type_ignores=[]), ROOT / page, "exec"), {})
