"""Benchmarks: measure what the documentation claims; each prints its tables and writes the JSON behind them.

    python recipes/benchmark.py adaptors
    python recipes/benchmark.py adaptors --help

The first argument names one of the files in `benchmarks/`.
"""

import importlib
import sys
from pathlib import Path

from retina_adapt.errors import RetinaAdaptError, in_one_line

BENCHMARKS = sorted(path.stem for path in (Path(__file__).parent / "benchmarks").iterdir() if path.stem[0].isalpha())


def main() -> None:
    """Run the named benchmark with the rest of the command line."""
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        asked_for_help = len(sys.argv) > 1 and sys.argv[1] in ("-h", "--help")
        print(
            __doc__, f"There are: {', '.join(BENCHMARKS)}", sep="\n", file=sys.stdout if asked_for_help else sys.stderr
        )
        sys.exit(0 if asked_for_help else 2)
    name = sys.argv.pop(1)
    try:
        importlib.import_module(f"benchmarks.{name}").main()
    except (RetinaAdaptError, OSError) as error:
        sys.exit(in_one_line(error))


if __name__ == "__main__":
    main()
