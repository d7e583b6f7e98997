"""docs/reference.md names all that enhancement offers, with its defaults; tests/project runs its code."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import retina_adapt
from retina_adapt import Enhancement, EnhancementSettings, Enhancer, RetinaEnhancementPipeline
from retina_adapt.errors import RetinaAdaptError

REFERENCE = (Path(__file__).resolve().parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return REFERENCE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_setting_is_listed_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section("`EnhancementSettings`"), re.MULTILINE))
    actual = {field.name: repr(field.default).replace("'", '"') for field in dataclasses.fields(EnhancementSettings)}
    assert listed == actual


def test_every_field_of_a_result_is_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section("`Enhancement`"), re.MULTILINE)
    assert listed == [field.name for field in dataclasses.fields(Enhancement)]


@pytest.mark.parametrize("documented", [Enhancer, RetinaEnhancementPipeline])
def test_every_public_member_is_named(documented: type) -> None:
    own = [name for name in vars(documented) if not name.startswith("_")]
    named = set(re.findall(rf"`(?:{documented.__name__}\.)?(\w+)", section(f"`{documented.__name__}`")))
    assert [name for name in own if name not in named] == []


def test_parameters_that_a_signature_names_are_there() -> None:
    for name, written in re.findall(r"`(?:Enhancer\.)?(\w+)\(([^)`…]*)\)`", section("`Enhancer`")):
        if name in ("enhancer", "apply_at_own_size"):
            continue
        known = inspect.signature(getattr(Enhancer, name)).parameters
        parameters = [part.split("=")[0].strip() for part in written.split(",")]
        assert [parameter for parameter in parameters if parameter and parameter not in known] == [], name


def test_the_errors_are_real_ones_of_this_package() -> None:
    def all_below(error: type[Exception]) -> set[str]:
        return {error.__name__}.union(*(all_below(below) for below in error.__subclasses__()))

    assert issubclass(retina_adapt.RetinaAdaptError, RetinaAdaptError)
    listed = set(re.findall(r"`(\w+Error)`", section("Errors")))
    assert len(listed) > 3
    assert listed <= all_below(RetinaAdaptError)
