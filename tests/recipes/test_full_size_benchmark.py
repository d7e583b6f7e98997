"""The benchmark of full size measures every way to fine detail, and writes its section between its marks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from retina_adapt.commands.draw import draw_photographs


@pytest.mark.slow
def test_it_measures_every_way_to_fine_detail_and_writes_what_it_prints(
    start_recipe: Callable[..., str], tmp_path: Path
) -> None:
    draw_photographs(tmp_path / "photographs", count=1, seed=0, size=400)
    document = tmp_path / "enhancing.md"
    document.write_text("# Enhancing\n\nWhat to make of it.\n")
    options = {
        "photographs": tmp_path / "photographs",
        "output_folder": tmp_path / "pictures",
        "results": tmp_path / "full_size.json",
        "document": document,
        "adaptors": '{"light": "light"}',
        "seeds": "[0]",
        "working_size": 400,
        "memory_widths": "[300]",
        "crop": 64,
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    printed = start_recipe("benchmark", "full_size", *arguments)
    results = json.loads((tmp_path / "full_size.json").read_text())
    by_method = {row["method"]: row for row in results["rows"]}
    assert set(by_method) == {"degraded", "resized", "kept", "guided", "fine", "tiles"}
    assert by_method["guided"]["psnr"] > by_method["degraded"]["psnr"] + 1
    # The network's own picture lacks the detail that all ways to full size keep.
    assert all(by_method[method]["fine_psnr"] > by_method["resized"]["fine_psnr"] for method in ("kept", "guided"))
    assert {row["detail"] for row in results["memory"]} == {"kept", "guided", "fine", "tiles"}
    assert [path.name for path in (tmp_path / "pictures").glob("crops_*")] == ["crops_drawn_0000_light.png"]
    text = document.read_text()
    assert "What to make of it." in text
    assert "| light | `guided` |" in text
    assert printed.strip().endswith("(.png).")
