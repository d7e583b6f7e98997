"""What a training step costs in memory, time and arithmetic: adaptors, LoRA, full fine-tuning, training from scratch.

    python recipes/benchmark.py training
    python recipes/benchmark.py training --device cuda --batch_size 16

Each arm is measured without and with gradient checkpointing. Peak memory is the high-water mark of a process of the
arm's own, above what the process held before the backbone was loaded; on a GPU, what torch allocated at most. Times are
processor time of one process in which the arms take turns, step by step, so that what else the machine does falls on
all of them alike. Arithmetic is what torch's `FlopCounterMode` counts in a step: convolutions, matrix products and
attention, forwards and backwards. Frames are random, for their content costs nothing. Writes the JSON behind the table
and the section of the document, and fails if an arm that is an adaptor holds gradients or optimiser state for the
backbone.
"""

from benchmarks._documented_results import document_results
from benchmarks.training.measuring import TrainingBenchmarkConfig, measure
from benchmarks.training.section import section
from retina_adapt.configuration import parse_configuration

__all__ = ["TrainingBenchmarkConfig", "main"]


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(TrainingBenchmarkConfig, description=__doc__)
    document_results("training", config, lambda: measure(config), section)
