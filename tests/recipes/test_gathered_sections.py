"""Sections of the results that are gathered from evaluations, and those that are written from committed results."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from retina_adapt.commands.recipes import recipes_folder

DOCUMENT = Path(__file__).parents[2] / "docs" / "results.md"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(recipes_folder()))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def summary(method: str, **means: float | None) -> dict:
    measures = {name: None if mean is None else {"mean": mean, "deviation": 0.5} for name, mean in means.items()}
    return {"data_set": "HRF", "degradation": "none", "method": method, "images": 3, "measures": measures}


@pytest.mark.parametrize(("psnr", "ssim", "verdict"), [(34.0, 0.93, "**met**"), (33.9, 0.99, "not autoencoder on HRF")])
def test_a_reconstruction_is_judged_at_the_frame_size_alone(
    benchmark: Callable[[str], ModuleType], tmp_path: Path, psnr: float, ssim: float, verdict: str
) -> None:
    rest = {"vessels_kept": 0.9, "vessels_invented": 0.1, "vessel_contrast": None}
    for size, found in ((512, summary("autoencoder", psnr=1.0, ssim=0.1, **rest)), (256, None)):
        found = found or summary("autoencoder", psnr=psnr, ssim=ssim, **rest)
        content = {"protocol": {"frame_size": size}, "summaries": [found]}
        (tmp_path / f"results_{size}.json").write_text(json.dumps(content))
    reconstruction = benchmark("reconstruction")
    results = reconstruction.gather(reconstruction.ReconstructionConfig(evaluation=str(tmp_path)))
    _, table, judged = reconstruction.section(json.loads(json.dumps(results)))
    assert verdict in judged
    smaller, larger = table.splitlines()[2:]
    assert smaller.startswith(f"| HRF | 256 px | autoencoder | 3 | {psnr:.2f} ± 0.50 |")
    assert larger.startswith("| HRF | 512 px |")
    assert smaller.endswith("| – |")


@pytest.mark.parametrize("name", ["reconstruction", "demonstration", "tint"])
def test_the_committed_section_is_that_of_the_committed_results(
    benchmark: Callable[[str], ModuleType], name: str
) -> None:
    results = json.loads((DOCUMENT.parent / "results" / f"{name}.json").read_text())
    for part in benchmark(name).section(results):
        assert part in DOCUMENT.read_text()
