"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int | None = None) -> str:
    """A table in GitHub's Markdown.

    Args:
        header: a title for each column, empty for none.
        rows: a cell for each column; vertical bars and line breaks, which would end a cell, are replaced.
        text_columns: number of leading columns, aligned left; the others hold numbers, aligned right. None aligns all
            left.
    """
    rule = ("---" if text_columns is None or column < text_columns else "---:" for column in range(len(header)))
    return "\n".join([_line(header), f"|{'|'.join(rule)}|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    shown = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return "".join(f"| {cell} " if cell else "| " for cell in shown) + "|"
