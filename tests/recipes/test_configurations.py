"""The committed configurations: each fits the recipe that its header starts, and is of the size that it says."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from retina_adapt.backbones import build_backbone
from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.configuration import parse_configuration

# Benchmarks are not among them: theirs belong to functions of recipes/benchmark.py.
CONFIGURATIONS = sorted(
    path for path in (recipes_folder() / "configs").glob("*.yaml") if not path.name.startswith("benchmark_")
)


def header(path: Path) -> str:
    """The comment at the top, on one line."""
    lines = path.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    return " ".join(line.removeprefix("#").strip(" \\") for line in lines if line.startswith("#"))


@pytest.fixture
def parse(load_recipe: Callable[[str], ModuleType]) -> Callable[[Path], object]:
    """The configuration of a file, as the recipe that its header names reads it."""

    def parsed(path: Path) -> object:
        recipe = re.search(r"recipes/(\w+)\.py", header(path)).group(1)
        config_class = load_recipe(recipe).main.__annotations__["config"]
        return parse_configuration(config_class, description="", arguments=["--config", str(path)])

    return parsed


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_a_configuration_fits_the_recipe_that_its_header_starts_with_it(
    path: Path, parse: Callable[[Path], object]
) -> None:
    assert f"--config recipes/configs/{path.name}" in header(path)
    parse(path)


@pytest.mark.parametrize("size", ["nano", "small", "base"])
def test_both_parts_of_a_backbone_are_of_one_shape_and_of_the_stated_size(
    size: str, parse: Callable[[Path], object]
) -> None:
    shapes = {}
    for part in ("autoencoder", "denoiser"):
        path = recipes_folder() / "configs" / f"reconstruct_{part}_{size}.yaml"
        shapes[part] = parse(path).backbone
        with torch.device("meta"):
            built = getattr(build_backbone(shapes[part]), part)
        millions = sum(parameter.numel() for parameter in built.parameters()) / 1e6
        stated = re.search(r"([\d.]+) M parameters", header(path)).group(1)
        decimals = len(stated.partition(".")[2])
        assert f"{millions:.{decimals}f}" == stated, path.name
    one, other = shapes.values()
    assert (one.name, one.image_size, one.image_channels) == (other.name, other.image_size, other.image_channels)
    assert one.autoencoder == other.autoencoder
