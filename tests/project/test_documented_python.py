"""Every Python block of the documentation runs, those of a page one after the other, as a reader would type them."""

import ast
import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from documented_blocks import ROOT, blocks, pages_with
from toy_files import save_toy_adaptor

from retina_adapt import adaptors
from retina_adapt.backbones import ReconstructionBackbone
from retina_adapt.imaging import Provenance, UsedAdaptor, read_photograph, write_photograph

# Of these, only that they compile and that what they import is there.
NOT_RUN = {
    "docs/app.md": "serves until it is stopped; tests/app/test_server.py talks to the server",
    "docs/backbones.md": "the module of another package; tests/backbones/test_entry_points.py installs and uses it",
}


def given_for_adaptors(backbone: ReconstructionBackbone) -> dict[str, object]:
    """The page's text speaks of a backbone, images, an adaptor on disk and the functions of the room."""
    lora = adaptors.AdaptorSettings(kind="lora", rank=8)
    save_toy_adaptor(backbone, Path("adaptors/haze"), settings=lora)
    names = {name: getattr(adaptors, name) for name in adaptors.__all__}
    return {"backbone": backbone, "images": torch.rand(3, 3, 64, 64), **names}


def given_for_trust(backbone: ReconstructionBackbone) -> dict[str, object]:
    """An adaptor on disk, and an enhanced photograph that says where it came from."""
    save_toy_adaptor(backbone, Path("path/to/adaptor"))
    digits = hashlib.sha256().hexdigest()
    provenance = Provenance("retina_adapt", "toy", digits, (UsedAdaptor("light", digits),), "fast")
    photograph = read_photograph("photographs/eye.jpg")
    write_photograph(dataclasses.replace(photograph, provenance=provenance), "enhanced/eye.jpg")
    return {}


GIVEN: dict[str, Callable[[ReconstructionBackbone], dict[str, object]]] = {
    "docs/adaptors.md": given_for_adaptors,
    "docs/trust.md": given_for_trust,
}


@pytest.mark.parametrize("page", sorted(set(pages_with("python")) - set(NOT_RUN)))
def test_the_python_blocks_of_a_page_run(page: str, workplace: Path, toy_backbone: ReconstructionBackbone) -> None:
    names = GIVEN[page](toy_backbone) if page in GIVEN else {}
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
