"""YAML, TOML and JSON of the documentation is read by what would read it, and no block is of an unknown language."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from documented_blocks import FENCE, ROOT, blocks, pages, pages_with

from retina_adapt.commands.recipes import recipes_folder

# The configurations that a page's YAML blocks change, in their order; their names begin with the recipe's.
CHANGED = {
    "README.md": ["adapt_pairs_few.yaml"],
    "docs/data.md": ["train_router_embedded.yaml", "adapt_pairs_few.yaml", "adapt_light.yaml"],
    "docs/own_pairs.md": ["adapt_pairs_few.yaml"],
    "docs/routing.md": ["train_router_embedded.yaml"],
    "docs/training.md": ["adapt_pairs_few.yaml"],
}
ELSEWHERE = {"docs/publishing.md": "metadata of an adaptor; tests/adaptors/test_publishing.py imports one with it"}


@pytest.mark.parametrize("page", sorted(set(pages_with("yaml")) - set(ELSEWHERE)))
def test_yaml_fits_the_recipe(page: str, start_recipe: Callable[..., str], tmp_path: Path) -> None:
    written = [block for block in blocks(page) if block.language == "yaml"]
    for block, changed in zip(written, CHANGED[page], strict=True):
        base, changes = recipes_folder() / "configs" / changed, tmp_path / f"{block.line}.yaml"
        changes.write_text(block.text)
        recipe = max((path.stem for path in recipes_folder().glob("*.py") if changed.startswith(path.stem)), key=len)
        with pytest.raises(SystemExit) as ended:
            start_recipe(recipe, "--config", base, "--config", changes, "--print_config")
        assert not ended.value.code, f"{page}:{block.line}: {ended.value.code}"


@pytest.mark.parametrize("page", pages())
def test_every_block_is_of_a_language_that_is_checked(page: str) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
        else:
            assert block.language in ("python", "sh", "yaml", "text"), f"{page}:{block.line}: '{block.language}'"


@pytest.mark.parametrize("page", pages())
def test_no_command_is_indented_instead_of_fenced(page: str) -> None:
    """It would not be checked."""
    outside = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    assert not re.findall(r"^ {4}(?:[A-Z_]+=\S+ )*(?:accelerate|pip|python|retina-adapt) .*", outside, re.MULTILINE)
