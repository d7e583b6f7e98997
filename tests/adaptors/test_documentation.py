"""docs/adaptors.md says of every kind what is so."""

from contracts import COLUMNS, DOCUMENT, table, written_table

from retina_adapt.adaptors import KINDS


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


def test_the_table_of_contracts_is_that_of_the_tests() -> None:
    assert written_table() == table(), "run python tests/adaptors/contracts.py"


def test_every_kind_is_held_to_every_contract() -> None:
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table().splitlines())
    assert header == ["kind", *COLUMNS]
    assert [row[0] for row in rows] == list(KINDS)
    assert all(all(row) for row in rows)
