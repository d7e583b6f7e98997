"""What comes out at a camera's own size: quality by the source of fine detail, time, memory, seams.

    python recipes/benchmark.py full_size

Clear photographs of a camera's size are degraded by each preset and enhanced with each `detail`; `resized` is what the
network gives at its frame size, enlarged. Writes the JSON behind the tables, the section of the document, and, to the
output folder, `crops_*.png`: parts of every result, pixel by pixel.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks._documented_results import document_results
from benchmarks.full_size.measuring import measure
from benchmarks.full_size.section import section
from retina_adapt.configuration import parse_configuration
from retina_adapt.embedded import DEFAULT_BACKBONE

__all__ = ["FullSizeConfig", "main"]


@dataclass
class FullSizeConfig:
    """What to measure.

    Args:
        output_folder: where the pictures go.
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        photographs: folder of clear photographs.
        backbone: name of an embedded backbone, or a backbone folder.
        adaptors: the adaptor, embedded name or folder, for each preset.
        seeds: of the degradations; each photograph is degraded once by each.
        working_size: of the mode `tiles`.
        memory_widths: widths in pixels that the first photograph is brought to, to see what memory depends on.
        crop: side in pixels of the parts that are written as pictures.
        threads: of PyTorch on the CPU.
        device: cpu, cuda, …
        only_document: measure nothing; write the document from the results there are.
    """

    output_folder: str = "runs/full_size"
    results: str = "docs/results/full_size.json"
    document: str = "docs/enhancing.md"
    photographs: str = "corpus/full_resolution"
    backbone: str = DEFAULT_BACKBONE
    adaptors: dict[str, str] = field(default_factory=lambda: {name: name for name in ("light", "haze", "blur")})
    seeds: list[int] = field(default_factory=lambda: [0])
    working_size: int = 1024
    memory_widths: list[int] = field(default_factory=lambda: [2000, 4300])
    crop: int = 440
    threads: int = 1
    device: str = "cpu"
    only_document: bool = False


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(FullSizeConfig, description=__doc__)
    torch.set_num_threads(config.threads)

    def measured() -> dict[str, Any]:
        return measure(
            config.photographs,
            backbone=config.backbone,
            adaptors=config.adaptors,
            seeds=config.seeds,
            working_size=config.working_size,
            memory_widths=config.memory_widths,
            device=config.device,
            crop=config.crop,
            output_folder=Path(config.output_folder),
        )

    document_results("full_size", config, measured, section)
