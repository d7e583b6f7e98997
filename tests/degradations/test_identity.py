"""A preset is told from an earlier version of itself: in its steps, and in the files that these are written in."""

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from new_process import run_script

from retina_adapt.degradations import (
    DegradationSourceError,
    UnknownPresetError,
    preset_fingerprint,
    preset_names,
    register_degradation,
    register_preset,
    registry,
)

SOURCE = """
DEPTH = 0.5
def scaled(pixels):
    return pixels * DEPTH
def draw(generator, severity):
    return {}
def apply(pixels, mask, parameters):
    return scaled(pixels)
"""
PRINT_FINGERPRINTS = """
from retina_adapt.degradations import preset_fingerprint, preset_names
print({name: preset_fingerprint(name) for name in preset_names()})
"""


@pytest.fixture
def fingerprint_of(tmp_path: Path, own_registry: None) -> Callable[..., str]:
    """The fingerprint of a preset that is registered anew, of one degradation in a file of this text."""

    def fingerprint_of(source: str = SOURCE, *, severity_range: tuple[float, float] = (0.5, 1.0)) -> str:
        path = tmp_path / "faults.py"
        path.write_text(source)
        specification = importlib.util.spec_from_file_location("faults", path)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        registry._DEGRADATIONS.pop("fault", None)
        registry._PRESETS.pop("fault", None)
        register_degradation("fault", draw=module.draw, apply=module.apply)
        register_preset("fault", steps=["fault"], severity_range=severity_range)
        return preset_fingerprint("fault")

    return fingerprint_of


def test_fingerprints_are_the_same_in_another_process() -> None:
    here = {name: preset_fingerprint(name) for name in preset_names()}
    assert run_script(PRINT_FINGERPRINTS).strip() == str(here)
    assert len(set(here.values())) == len(here)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scaled(pixels)\n", "1 - scaled(pixels)\n"),
        ("return {}", "return {'severity': severity}"),
        ("DEPTH = 0.5", "DEPTH = 0.4"),
        ("pixels * DEPTH", "pixels + DEPTH"),
    ],
)
def test_a_change_of_a_function_or_of_what_stands_beside_it_is_another_fingerprint(
    fingerprint_of: Callable[..., str], old: str, new: str
) -> None:
    before = fingerprint_of()
    assert fingerprint_of() == before
    assert fingerprint_of(SOURCE.replace(old, new)) != before


def test_another_range_of_severities_is_another_fingerprint(fingerprint_of: Callable[..., str]) -> None:
    assert fingerprint_of(severity_range=(0.5, 0.9)) != fingerprint_of()


def without_a_file() -> Callable[..., dict]:
    names: dict = {}
    exec("def draw(generator, severity): return {}", names)
    return names["draw"]


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("draw", [without_a_file(), functools.partial(dict, depth=0.5)])
def test_a_function_without_source_is_an_error_that_names_the_degradation(draw: Callable[..., dict]) -> None:
    register_degradation("fault", draw=draw, apply=lambda pixels, *_: pixels)
    register_preset("fault", steps=["fault"], severity_range=(0.5, 0.5))
    with pytest.raises(DegradationSourceError, match=r"'fault'.*in a file"):
        preset_fingerprint("fault")


def test_an_unknown_preset_has_none() -> None:
    with pytest.raises(UnknownPresetError, match="did you mean 'light'"):
        preset_fingerprint("lihgt")
