"""What is said of presets is what they do."""

import re
from pathlib import Path

import pytest

from retina_adapt.degradations import UnknownPresetError, describe_preset, draw_degradation, preset_names

# Those of this package: taken before any test can register others.
PRESETS = preset_names()
DATA_PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.mark.parametrize("name", PRESETS)
def test_whatever_a_preset_draws_stands_in_its_description(name: str) -> None:
    words, severities = describe_preset(name).split("; severity ")
    low, high = map(float, severities.split(" to "))
    for seed in range(30):
        drawn = draw_degradation(name, seed=seed)
        assert low <= drawn.severity <= high
        assert {step.name for step in drawn.steps} <= set(re.findall(r"\w+", words))


def test_counts_and_choices_among_choices_can_be_read() -> None:
    assert describe_preset("noise") == "noise, 0 or 1 of jpeg_compression; severity 0.5 to 1"
    assert "1 to 3 of (1 or 2 of halo, hole, uneven_illumination, low_light), color_shift" in describe_preset("mixed")
    with pytest.raises(UnknownPresetError, match="did you mean 'light'"):
        describe_preset("lihgt")


def test_the_documentation_has_every_description() -> None:
    page = DATA_PAGE.read_text(encoding="utf-8")
    assert all(f"{name}: {describe_preset(name)}\n" in page for name in PRESETS)
