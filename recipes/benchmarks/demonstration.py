"""What README's first command comes to: a new adaptor beside the degraded photographs, CLAHE and an embedded adaptor.

    retina-adapt demo demonstration
    python recipes/benchmark.py demonstration

Gathers what the demonstration wrote in one JSON file, and writes the section of the results document from it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._documented_results import document_results
from retina_adapt.adaptors import describe_adaptor
from retina_adapt.configuration import parse_configuration
from retina_adapt.markdown import markdown_table

COLUMNS = {
    "psnr": ("PSNR (dB)", 2),
    "ssim": ("SSIM", 3),
    "ms_ssim": ("MS-SSIM", 3),
    "color_difference": ("CIEDE2000", 2),
}


@dataclass
class DemonstrationConfig:
    """Everything that recipes/benchmark.py demonstration reads.

    Args:
        folder: what `retina-adapt demo` wrote.
        results: JSON file for what is gathered.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        only_document: gather nothing; write the document from the results there are.
    """

    folder: str = "demonstration"
    results: str = "docs/results/demonstration.json"
    document: str = "docs/results.md"
    only_document: bool = False


def main() -> None:
    """Gather, write, print."""
    config = parse_configuration(DemonstrationConfig, description=__doc__)
    document_results("demonstration", config, lambda: gather(config), section)


def gather(config: DemonstrationConfig) -> dict[str, Any]:
    """The evaluation's "summaries"; the new adaptor's "steps" and "seed"; the "photographs" by split."""
    folder = Path(config.folder)
    evaluation = json.loads((folder / "evaluation" / "results.json").read_text(encoding="utf-8"))
    metadata = describe_adaptor(folder / "adapted" / "adaptor").metadata
    splits = sorted(path for path in (folder / "photographs").iterdir() if path.is_dir())
    return {
        "summaries": evaluation["summaries"],
        "steps": metadata.training_steps,
        "seed": metadata.seed,
        "photographs": {split.name: sum(path.is_file() for path in split.rglob("*")) for split in splits},
    }


def section(results: dict[str, Any]) -> list[str]:
    """The section of the document from the results alone."""
    steps = ", ".join(f"{count} steps of the {stage}" for stage, count in results["steps"].items())
    photographs = ", ".join(f"{count} {split}" for split, count in results["photographs"].items())
    rows = [
        [
            summary["method"],
            *(f"{summary['measures'][name]['mean']:.{digits}f}" for name, (_, digits) in COLUMNS.items()),
        ]
        for summary in results["summaries"]
    ]
    return [
        "## The demonstration",
        "```sh\nretina-adapt demo demonstration\npython recipes/benchmark.py demonstration\n```",
        f"Drawn photographs ({photographs}), degraded by `{results['summaries'][0]['degradation']}`; {steps}, seed "
        f"{results['seed']}. Means over the held-out photographs, in the field of view. `adaptor` is the new one; the "
        "embedded one was trained on real photographs alone.",
        markdown_table(["method", *(heading for heading, _ in COLUMNS.values())], rows, text_columns=1),
    ]
