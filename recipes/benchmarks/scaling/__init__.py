"""What a training will cost: from 50 photographs on one processor core to ten million on 64 GPUs.

    python recipes/benchmark.py scaling
    python recipes/benchmark.py scaling --assumptions.gpu_teraflops 120 --assumptions.price_per_gpu_hour 3.5
    python recipes/benchmark.py scaling --measure true

Multiplies the steps and batches of the shipped configurations by what was counted and measured: operations of a step
(torch's `FlopCounterMode`), processor time of a training item, bytes of a prepared photograph, and the operations a
second of one core. What a GPU does is an assumption, for you to set. Prints the tables and writes them between the
markers of docs/scaling.md; `--measure true` first counts and measures anew, in some minutes.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.scaling.document import Assumptions, write_document
from benchmarks.scaling.measuring import Measurements, measure
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.configuration import parse_configuration

__all__ = ["ScalingConfig", "main"]


@dataclass
class ScalingConfig:
    """Everything that this command reads.

    Args:
        measure: count and measure anew, and store it in `measurements`.
        assumptions: what is neither counted nor measured.
        measurements: JSON file with what was counted and measured.
        document: Markdown file with the markers that the tables go between.
    """

    measure: bool = False
    assumptions: Assumptions = field(default_factory=Assumptions)
    measurements: str = "docs/results/scaling.json"
    document: str = "docs/scaling.md"


def main() -> None:
    """Measure, if told to; write and print the tables."""
    config = parse_configuration(ScalingConfig, description=__doc__)
    path = Path(config.measurements)
    if config.measure:
        found = json.dumps(asdict(measure()), indent=1)
        with write_file_atomically(path) as temporary:
            temporary.write_text(found + "\n", encoding="utf-8")
    measurements = Measurements(**json.loads(path.read_text(encoding="utf-8")))
    print(write_document(Path(config.document), measurements, config.assumptions))
