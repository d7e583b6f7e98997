"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int | None = None) -> str:
    """A table in GitHub's Markdown.

    Args:
        header: of each column, empty for none.
        rows: as many cells each; vertical bars and line breaks, which would end a cell, do not.
        text_columns: the first so many are aligned left and the others, numbers, right; None aligns all left.
    """
    rule = ("---" if text_columns is None or column < text_columns else "---:" for column in range(len(header)))
    return "\n".join([_line(header), f"|{'|'.join(rule)}|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    shown = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return "".join(f"| {cell} " if cell else "| " for cell in shown) + "|"
