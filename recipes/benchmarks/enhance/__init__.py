"""How fast enhancement is, what each option gains, and what it costs in quality.

    python recipes/benchmark.py enhance
    python recipes/benchmark.py enhance --device cuda --compile true

Every ratio compares runs of this process, alternating, by the median over the repetitions. Quality is PSNR in the field
of view over held-out photographs that a preset degraded. Writes the JSON behind the tables and the section of the
document. `full_size` measures photographs of a camera's size.
"""

from benchmarks._documented_results import document_results
from benchmarks.enhance.measuring import EnhanceBenchmarkConfig, measure
from benchmarks.enhance.section import section
from retina_adapt.configuration import parse_configuration

__all__ = ["EnhanceBenchmarkConfig", "main"]


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(EnhanceBenchmarkConfig, description=__doc__)
    document_results("enhance", config, lambda: measure(config), section)
