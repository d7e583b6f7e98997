"""The fenced blocks of the README and of every page below docs/."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: the page relative to the project's root, the line of its fence, its language and its text."""

    page: str
    line: int
    language: str
    text: str


def pages() -> list[str]:
    """Relative to the project's root."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found]


def blocks(page: str) -> list[Block]:
    """In the order of the page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2]) for match in FENCE.finditer(text)]


def pages_with(language: str) -> list[str]:
    """Those that hold a block of this language."""
    return [page for page in pages() if any(block.language == language for block in blocks(page))]
