"""What comes out at a camera's own size: quality by the source of fine detail, time, memory, seams.

    python recipes/benchmark.py full_size

Clear photographs of a camera's size are degraded by each preset and enhanced with each `detail`; `resized` is what the
network gives at its frame size, enlarged. Writes the JSON behind the tables, the section of the document, and, to the
output folder, `crops_*.png`: parts of every result, pixel by pixel.
"""

import torch

from benchmarks._documented_results import document_results
from benchmarks.full_size.measuring import FullSizeConfig, measure
from benchmarks.full_size.section import section
from retina_adapt.configuration import parse_configuration

__all__ = ["FullSizeConfig", "main"]


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(FullSizeConfig, description=__doc__)
    torch.set_num_threads(config.threads)
    document_results("full_size", config, lambda: measure(config), section)
