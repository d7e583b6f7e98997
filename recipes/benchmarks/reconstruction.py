"""How well the embedded backbone reconstructs photographs without any adaptor.

    python recipes/evaluate_reconstruction.py --config recipes/configs/evaluate_reconstruction_nano.yaml
    python recipes/benchmark.py reconstruction

Gathers the evaluation's summaries in one JSON file, and writes the section of the results document from it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._documented_results import document_results
from retina_adapt.configuration import parse_configuration
from retina_adapt.markdown import markdown_table

LEAST_PSNR, LEAST_SSIM, JUDGED_SIZE = 34.0, 0.93, 256
# Measures of an evaluation, with what they are called here and their digits.
COLUMNS = {
    "psnr": ("PSNR (dB)", 2),
    "ssim": ("SSIM", 3),
    "vessels_kept": ("vessels kept", 2),
    "vessels_invented": ("vessels invented", 2),
    "vessel_contrast": ("vessel contrast", 2),
}


@dataclass
class ReconstructionConfig:
    """Everything that recipes/benchmark.py reconstruction reads.

    Args:
        evaluation: folder that recipes/evaluate_reconstruction.py wrote to.
        results: JSON file for what is gathered.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        only_document: gather nothing; write the document from the results there are.
    """

    evaluation: str = "runs/nano/reconstruction"
    results: str = "docs/results/reconstruction.json"
    document: str = "docs/results.md"
    only_document: bool = False


def main() -> None:
    """Gather, write, print."""
    config = parse_configuration(ReconstructionConfig, description=__doc__)
    document_results("reconstruction", config, lambda: gather(config), section)


def gather(config: ReconstructionConfig) -> dict[str, Any]:
    """The "summaries" by frame size."""
    by_size = {}
    for path in Path(config.evaluation).glob("results_*.json"):
        evaluation = json.loads(path.read_text(encoding="utf-8"))
        by_size[evaluation["protocol"]["frame_size"]] = evaluation["summaries"]
    return {"summaries": {str(size): by_size[size] for size in sorted(by_size)}}


def section(results: dict[str, Any]) -> list[str]:
    """The section of the document from the results alone."""
    rows, missed = [], []
    for size, summaries in results["summaries"].items():
        for summary in summaries:
            measures = summary["measures"]
            shown = [_cell(measures[name], digits) for name, (_, digits) in COLUMNS.items()]
            rows.append([summary["data_set"], f"{size} px", summary["method"], str(summary["images"]), *shown])
            is_enough = measures["psnr"]["mean"] >= LEAST_PSNR and measures["ssim"]["mean"] >= LEAST_SSIM
            if size == str(JUDGED_SIZE) and not is_enough:
                missed.append(f"{summary['method']} on {summary['data_set']}")
    header = ["data set", "frame", "method", "images", *(heading for heading, _ in COLUMNS.values())]
    found = f"not {', '.join(missed)}: **missed**" if missed else "**met**"
    return [
        "Reconstruction in the field of view on the test splits; means ± standard deviations. Vessels kept and vessel "
        'contrast as `retina_adapt.evaluation.vessel_agreement` defines them. "sampled" starts from the '
        "photograph's own latents under noise at a quarter of the schedule, and takes 4 sampling steps.",
        markdown_table(header, rows, text_columns=3),
        f"Target: {LEAST_PSNR:g} dB and {LEAST_SSIM:g} on each data set at {JUDGED_SIZE} px; {found}.",
    ]


def _cell(found: dict[str, float | None] | None, digits: int) -> str:
    if found is None:
        return "–"
    spread = "" if found["deviation"] is None else f" ± {found['deviation']:.{digits}f}"
    return f"{found['mean']:.{digits}f}{spread}"
