"""What a section of the document is, and what it is made from."""

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.plan import Rows
from benchmarks.claims.tables import Results
from benchmarks.claims.targets import Verdict


@dataclass(frozen=True)
class Section:
    """Paragraphs, tables and pictures, and what they are held against."""

    parts: list[str]
    verdicts: list[Verdict] = field(default_factory=list)


@dataclass(frozen=True)
class Material:
    """What sections are written from.

    Attributes:
        config: of the benchmark.
        questions: those of which something has been run, with their rows.
        results: of trainings, by their keys.
        measured: what needs no training, by question.
        figures: folder for the plots.
        link: the same, from the document's folder.
    """

    config: ClaimsConfig
    questions: dict[str, Rows]
    results: Results
    measured: dict[str, dict]
    figures: Path
    link: str
