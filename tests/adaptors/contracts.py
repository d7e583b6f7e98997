"""Which test holds which kind to which contract; docs/adaptors.md shows it as a table.

    python tests/adaptors/contracts.py

writes the table into the document. A test checks that it is current.
"""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "adaptors.md"
BEGIN = "<!-- begin: python tests/adaptors/contracts.py -->"
END = "<!-- end -->"
MODULES = (
    "test_contracts",
    "test_hot_swap",
    "test_mixed_batch",
    "test_registration",
    "test_merging",
    "test_arithmetic",
)


def contract(name: str, holds: str) -> Callable:
    """Mark a test that is parametrised over `case`: it holds these cases' kinds to the contract, as `holds` says."""

    def mark(test: Callable) -> Callable:
        test.contract = (name, holds)
        return test

    return mark


def table() -> str:
    """A row for each kind, a column for each contract; a kind of which one case lacks a test has an empty cell."""
    from toy_adaptors import SETTINGS

    from retina_adapt.adaptors import KINDS

    cases_by_cell: dict[tuple[str, str], set[str]] = {}
    for module in MODULES:
        for _, test in inspect.getmembers(importlib.import_module(module), inspect.isfunction):
            if hasattr(test, "contract"):
                cases_by_cell.setdefault(test.contract, set()).update(_cases(test))
    contracts = list(dict.fromkeys(name for name, _ in sorted(cases_by_cell, key=_column)))
    rows = [["kind", *contracts], ["---"] * (len(contracts) + 1)]
    for kind in KINDS:
        cases = {case for case, settings in SETTINGS.items() if settings.kind == kind}
        cells = []
        for name in contracts:
            held = [holds for (other, holds), tested in cases_by_cell.items() if other == name and cases <= tested]
            cells.append(", ".join(held))
        rows.append([kind, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def written_table() -> str:
    """The table as the document has it."""
    return DOCUMENT.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()


def write_table() -> None:
    """Put the table into the document."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", encoding="utf-8")


COLUMNS = (
    "identity at start",
    "frozen backbone",
    "round trip",
    "swap",
    "hot swap",
    "mixed batch",
    "PEFT's API",
    "merge",
    "weights",
    "interpolation",
)


def _column(cell: tuple[str, str]) -> int:
    return COLUMNS.index(cell[0])


def _cases(test: Callable) -> set[str]:
    return {case for mark in test.pytestmark if mark.args[0] == "case" for case in mark.args[1]}


if __name__ == "__main__":
    write_table()
