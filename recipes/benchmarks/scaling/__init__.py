"""What a training will cost: from 50 photographs on one processor core to ten million on 64 GPUs.

    python recipes/benchmark.py scaling
    python recipes/benchmark.py scaling --only_document true --assumptions.gpu_teraflops 120

Multiplies the steps and batches of the shipped configurations by what was counted and measured: operations of a step
(torch's `FlopCounterMode`), processor time of a training item, bytes of a prepared photograph, and the operations a
second of one core; counting and measuring takes some minutes. What a GPU does is an assumption, for you to set. Writes
its JSON, and the section of the document from it.
"""

from dataclasses import asdict, dataclass, field

from benchmarks._documented_results import document_results
from benchmarks.scaling.document import Assumptions, section
from benchmarks.scaling.measuring import Measurements, measure
from retina_adapt.configuration import parse_configuration

__all__ = ["Assumptions", "Measurements", "ScalingConfig", "main", "section"]


@dataclass
class ScalingConfig:
    """Everything that this command reads.

    Args:
        assumptions: what is neither counted nor measured.
        results: JSON file with what was counted and measured.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        only_document: count and measure nothing; write the document from the results there are.
    """

    assumptions: Assumptions = field(default_factory=Assumptions)
    results: str = "docs/results/scaling.json"
    document: str = "docs/scaling.md"
    only_document: bool = False


def main() -> None:
    """Count and measure, write, print."""
    config = parse_configuration(ScalingConfig, description=__doc__)
    document_results(
        "scaling",
        config,
        lambda: asdict(measure()),
        lambda found: section(Measurements(**found), config.assumptions),
    )
