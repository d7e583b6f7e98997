"""The results' section on the embedded adaptors is computed from an evaluation and the adaptors' own files."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from retina_adapt.commands.recipes import recipes_folder


@pytest.fixture(scope="module")
def embedded() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(recipes_folder()))
        yield importlib.import_module("benchmarks.embedded")


def evaluation(psnr: dict[str, float]) -> dict:
    """Two photographs of one data set, each degraded by `light` twice, by method."""
    means = {name: {"mean": 0.9, "deviation": None} for name in ("ssim", "color_difference")}
    return {
        "protocol": {"frame_size": 256},
        "summaries": [
            {
                "data_set": "HRF",
                "degradation": "light",
                "method": method,
                "images": 4,
                "measures": {"psnr": {"mean": value, "deviation": None}, **means},
            }
            for method, value in psnr.items()
        ],
        # Twice as good by one draw as by the other: a photograph counts once.
        "rows": [
            {
                "data_set": "HRF",
                "degradation": "light",
                "method": method,
                "image": name,
                "scores": {"psnr": value + off},
            }
            for method, value in psnr.items()
            for name, offsets in (("a", (-2.0, 0.0) if "fast" in method else (0.0, 0.0)), ("b", (1.0, 1.0)))
            for off in offsets
        ],
    }


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [(20.0, 23.5, "**met**"), (20.0, 22.5, "not light on HRF (+2.50)"), (36.0, 36.1, "**met**"), (36.0, 35.9, "-0.10")],
)
def test_an_input_asks_for_three_decibels_or_if_it_is_mild_for_no_loss(
    embedded: ModuleType, tmp_path: Path, before: float, after: float, verdict: str
) -> None:
    scores = evaluation({"degraded": before, "CLAHE": 0.0, "light, fast": after})
    (tmp_path / "evaluation.json").write_text(json.dumps(scores))
    config = embedded.EmbeddedConfig(
        evaluation=str(tmp_path / "evaluation.json"),
        adaptors=["light"],
        configurations=str(recipes_folder() / "configs"),
    )
    parts = embedded.section(embedded.gather(config))
    assert verdict in parts[-1]
    assert f"| HRF | light | {before:.2f} / 0.900 / 0.9 |" in parts[-3]
    assert "HRF (2), degraded by the preset of the adaptor's name, each 2 times" in parts[-4]
    # The first photograph gains 1 dB less than the second.
    assert f"| {after - before - 0.5:+.2f} ± 0.50 |" in parts[-3]


def test_the_committed_section_is_about_the_adaptors_that_are_shipped(embedded: ModuleType) -> None:
    results = json.loads((Path(__file__).parents[2] / "docs" / "results" / "embedded.json").read_text())
    for name in embedded.EmbeddedConfig().adaptors:
        description = embedded.describe_adaptor(embedded.adaptor_folder(name))
        assert results["trainings"][name]["metrics"] == description.metadata.metrics, f"{name}: evaluate it anew"
