"""docs/adaptors.md says of every kind what is so."""

from pathlib import Path

from retina_adapt.adaptors import KINDS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "adaptors.md"


def test_the_table_of_kinds_lists_all_of_them_with_what_they_allow() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| kind |")) + 2
    rows = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        kind, _, _, merges, weights = (cell.strip() for cell in line.strip("|").split("|"))
        rows[kind] = (merges == "yes", weights == "yes")
    assert rows == {name: (kind.mergeable, kind.additive) for name, kind in KINDS.items()}
