"""Presets of other packages: the example of docs/data.md works as printed, and a defective package is named."""

import re
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from drawn_fundus import draw_fundus
from installed_package import install_package
from new_process import run_script

from retina_adapt.degradations import (
    DegradationEntryPointError,
    DrawnStep,
    UnknownDegradationError,
    UnknownPresetError,
    apply_step,
    degradation_names,
    describe_preset,
    draw_degradation,
    preset_names,
)
from retina_adapt.degradations.registry import ENTRY_POINT_GROUP

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "data.md"
install = partial(install_package, ENTRY_POINT_GROUP)

LIST_AND_DEGRADE = """
from pathlib import Path
from typer.testing import CliRunner
from retina_adapt.cli import app
from retina_adapt.commands.draw import draw_photographs
draw_photographs(Path("photographs"), count=1, seed=0, size=96)
for words in (["presets"], ["degrade", "photographs", "low", "--preset", "eyelid"]):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    print(result.output)
"""

# Another day: of the preset, the record says no more than its name and that of its step.
REPLAY = """
from pathlib import Path
from typer.testing import CliRunner
from retina_adapt.cli import app
result = CliRunner().invoke(app, ["degrade", "photographs", "again", "--replay", "low/degradations.json"])
assert result.exit_code == 0, result.output
clear, low, again = (Path(folder, "drawn_0000.png").read_bytes() for folder in ("photographs", "low", "again"))
assert clear != low == again
"""

# `darken` is a degradation whose name says nothing of the preset or the module that bring it.
MODULE = """
from retina_adapt.degradations import register_degradation, register_preset
register_degradation(
    "darken",
    draw=lambda generator, severity: {{"depth": severity}},
    apply=lambda pixels, mask, parameters: pixels * (1 - parameters["depth"]),
)
for name in {presets}:
    register_preset(name, steps=["darken"], severity_range=(0.5, 0.5))
"""


def printed_block(language: str, containing: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENTATION.read_text(encoding="utf-8"), re.M | re.S)
    (block,) = [block for block in found if containing in block]
    return block


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are installed to; what they register, and their modules, are gone after the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


pytestmark = pytest.mark.usefixtures("own_registry")


def test_the_printed_package_is_listed_degrades_and_is_replayed_by_the_command(tmp_path: Path) -> None:
    entries = tomllib.loads(printed_block("toml", ENTRY_POINT_GROUP))["project"]["entry-points"][ENTRY_POINT_GROUP]
    ((preset, module),) = entries.items()
    (tmp_path / f"{module}.py").write_text(printed_block("python", "register_degradation("))
    install(tmp_path, "eyelids", entries)
    at_home = f"import os; os.chdir({str(tmp_path)!r})\n"
    printed = run_script(at_home + LIST_AND_DEGRADE, path=[tmp_path])
    assert f"{preset}: eyelid; severity 0.4 to 1" in printed
    run_script(at_home + REPLAY, path=[tmp_path])


def test_a_package_is_imported_when_its_preset_is_asked_for_and_not_before(site: Path) -> None:
    (site / "module_of_dusk.py").write_text(MODULE.format(presets=["dusk", "dawn"]))
    install(site, "evening", {"dusk": "module_of_dusk", "dawn": "module_of_dusk"})
    assert {"dusk", "dawn", "light"} <= set(preset_names())
    draw_degradation("light", seed=0)
    with pytest.raises(UnknownPresetError, match="did you mean 'dusk'"):
        draw_degradation("dusky", seed=0)
    assert "module_of_dusk" not in sys.modules
    assert describe_preset("dusk") == "darken; severity 0.5 to 0.5"
    assert draw_degradation("dawn", seed=0).steps == (DrawnStep("darken", {"depth": 0.5}),)
    assert {"dusk", "dawn"} <= set(preset_names())


def test_whoever_imports_an_installed_module_has_registered_it(site: Path) -> None:
    (site / "module_of_dusk.py").write_text(MODULE.format(presets=["dusk"]))
    install(site, "evening", {"dusk": "module_of_dusk"})
    __import__("module_of_dusk")
    assert "dusk" in preset_names()
    assert draw_degradation("dusk", seed=0).severity == 0.5


def test_a_stored_step_is_looked_for_in_installed_packages(site: Path) -> None:
    (site / "module_of_dusk.py").write_text(MODULE.format(presets=["dusk"]))
    install(site, "evening", {"dusk": "module_of_dusk"})
    install(site, "defective", {"broken": "module_that_is_not_there"})
    pixels, mask = draw_fundus(16, 16)
    degraded = apply_step(pixels, mask, DrawnStep("darken", {"depth": 0.5}))
    assert np.array_equal(degraded[mask], pixels[mask] * np.float32(0.5))
    # Only where a degradation stays unknown is a defective package the likely reason.
    with pytest.raises(DegradationEntryPointError, match=r"no degradation 'absent'.*package 'defective'.*not_there"):
        apply_step(pixels, mask, DrawnStep("absent", {}))


def test_every_installed_degradation_is_among_the_names(site: Path) -> None:
    (site / "module_of_dusk.py").write_text(MODULE.format(presets=["dusk"]))
    install(site, "evening", {"dusk": "module_of_dusk"})
    assert {"darken", "halo"} <= set(degradation_names())


def test_a_package_that_cannot_be_imported_is_named_and_disturbs_no_other_preset(site: Path) -> None:
    install(site, "defective", {"broken": "module_that_is_not_there"})
    assert "broken" in preset_names()
    draw_degradation("mixed", seed=0)
    with pytest.raises(DegradationEntryPointError, match=r"'broken'.*package 'defective'.*module_that_is_not_there"):
        draw_degradation("broken", seed=0)


def test_a_module_that_does_not_register_the_preset_of_its_entry_is_named(site: Path) -> None:
    (site / "module_of_dusk.py").write_text(MODULE.format(presets=["dusk"]))
    install(site, "evening", {"night": "module_of_dusk"})
    # Asked for again, its module is imported already.
    for _ in range(2):
        with pytest.raises(DegradationEntryPointError, match=r"package 'evening'.*register_preset\('night'"):
            draw_degradation("night", seed=0)


@pytest.mark.parametrize(
    "packages",
    [{"one": {"light": "module_a"}}, {"one": {"new": "module_a"}, "other": {"new": "module_b"}}],
)
def test_a_name_of_two_presets_is_refused_and_disturbs_no_other(packages: dict, site: Path) -> None:
    (site / "module_of_dusk.py").write_text(MODULE.format(presets=["dusk"]))
    install(site, "evening", {"dusk": "module_of_dusk"})
    for package, entries in packages.items():
        install(site, package, entries)
    (taken,) = {name for entries in packages.values() for name in entries}
    assert {"dusk", "mixed", taken} <= set(preset_names())
    for name in ("dusk", "mixed"):
        draw_degradation(name, seed=0)
    with pytest.raises(DegradationEntryPointError, match=r"of the installed package '(one|other)'.*another preset"):
        draw_degradation(taken, seed=0)


def test_without_packages_an_unknown_degradation_is_unknown() -> None:
    pixels, mask = draw_fundus(16, 16)
    with pytest.raises(UnknownDegradationError, match="'absent'"):
        apply_step(pixels, mask, DrawnStep("absent", {}))
