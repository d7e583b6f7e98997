"""What each kind of adaptor costs: the time of a forward pass, of a swap, and its size.

    python recipes/benchmark.py adaptors
    python recipes/benchmark.py adaptors --device cuda --kinds '[residual, lora]' --repeats 50

All kinds are measured in turn, repeat by repeat, so that whatever else the machine does falls on all of them alike. A
pass is encoding, one call of the denoiser (where there is one) and decoding. Compiled is one adapted block of the
encoder by itself, against the plain block compiled: a whole backbone takes minutes to compile. Writes the JSON behind
the table and the section of the document.
"""

from benchmarks._documented_results import document_results
from benchmarks.adaptors.measuring import AdaptorsBenchmarkConfig, measure
from benchmarks.adaptors.section import section
from retina_adapt.configuration import parse_configuration

__all__ = ["AdaptorsBenchmarkConfig", "main"]


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(AdaptorsBenchmarkConfig, description=__doc__)
    document_results("adaptors", config, lambda: measure(config), section)
