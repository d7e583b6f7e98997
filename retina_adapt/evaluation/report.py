"""Scores of many images, gathered into one table that says how they were measured."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.evaluation.metrics import SCORING_PROTOCOL, ImageScores
from retina_adapt.evaluation.structure import VesselAgreement
from retina_adapt.markdown import markdown_table


class ReportError(RetinaAdaptError):
    """A report that cannot be written."""


@dataclass(frozen=True)
class ReportRow:
    """The scores of one image under one method.

    Attributes:
        data_set: for example "hrf".
        degradation: the preset applied, with the severities if they are not its own; "none" if there was none, "real"
            if a camera took the degraded photograph.
        method: what made the scored image: "degraded" for the input itself, "CLAHE", or an adaptor's name and mode.
        image: name of the photograph.
        scores: quality against the target.
        seconds: time the method took for this image; None if it took none.
        vessels: vessels kept and invented, and their contrast; None if not measured.
    """

    data_set: str
    degradation: str
    method: str
    image: str
    scores: ImageScores
    seconds: float | None = None
    vessels: VesselAgreement | None = None


@dataclass(frozen=True)
class MeanAndDeviation:
    """Mean over images and sample standard deviation, which is None for a single image."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Summary:
    """All images of one data set, degradation and method.

    `measures` maps the name of each measure to its mean and deviation over the images for which it is defined, or to
    None if it is defined for none.
    """

    data_set: str
    degradation: str
    method: str
    images: int
    measures: dict[str, MeanAndDeviation | None]


@dataclass(frozen=True)
class _Measure:
    heading: str
    digits: int
    read: Callable[[ReportRow], float | None]
    fits_terminal: bool = True


_MEASURES = {
    "psnr": _Measure("PSNR (dB)", 2, lambda row: row.scores.psnr),
    "ssim": _Measure("SSIM", 3, lambda row: row.scores.ssim),
    "ms_ssim": _Measure("MS-SSIM", 3, lambda row: row.scores.ms_ssim),
    "color_difference": _Measure("CIEDE2000", 2, lambda row: row.scores.color_difference),
    "vessels_kept": _Measure("vessels kept", 2, lambda row: row.vessels.kept if row.vessels else None),
    "vessels_invented": _Measure("vessels invented", 2, lambda row: row.vessels.invented if row.vessels else None),
    "vessel_contrast": _Measure(
        "vessel contrast", 2, lambda row: row.vessels.contrast if row.vessels else None, fits_terminal=False
    ),
    "seconds": _Measure("seconds", 2, lambda row: row.seconds),
}


class EvaluationReport:
    """Collects rows and writes them as JSON, Markdown, or a table on the terminal.

    Args:
        frame_size: side in pixels of the square frame in which the images were scored.
    """

    def __init__(self, *, frame_size: int) -> None:
        self.rows: list[ReportRow] = []
        self.protocol: dict[str, str | int] = {**SCORING_PROTOCOL, "frame_size": frame_size}

    def add(self, row: ReportRow) -> None:
        """Add one image's scores."""
        self.rows.append(row)

    def summaries(self) -> list[Summary]:
        """One summary for each data set, degradation and method, in the order they were first added."""
        groups: dict[tuple[str, str, str], list[ReportRow]] = {}
        for row in self.rows:
            groups.setdefault((row.data_set, row.degradation, row.method), []).append(row)
        return [
            Summary(
                *names,
                images=len(rows),
                measures={name: _summarize(rows, measure) for name, measure in _MEASURES.items()},
            )
            for names, rows in groups.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Protocol, summaries and every row, as plain values that JSON can hold."""
        return {
            "protocol": self.protocol,
            "summaries": [asdict(summary) for summary in self.summaries()],
            "rows": [asdict(row) for row in self.rows],
        }

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict` to a file; a killed process leaves the previous file whole.

        Raises:
            ReportError: the file cannot be written, or a score is not a finite number.
        """
        try:
            text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        except ValueError as error:
            raise ReportError(f"{path}: a row holds a number that is not finite; check its seconds") from error
        try:
            with write_file_atomically(path) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise ReportError(f"{path}: cannot write the report ({error}); choose a writable folder") from error

    def to_markdown(self) -> str:
        """A table of means ± standard deviations with the protocol below it.

        Measures that no image has are left out.
        """
        shown = self._shown_measures()
        names = ["data set", "degradation", "method"]
        rows = []
        for summary in self.summaries():
            texts = [summary.data_set, summary.degradation, summary.method]
            cells = [_cell(summary.measures[name], measure.digits) for name, measure in shown.items()]
            rows.append([*texts, str(summary.images), *cells])
        header = [*names, "images", *(measure.heading for measure in shown.values())]
        table = markdown_table(header, rows, text_columns=len(names))
        return f"{table}\n\n{self._protocol_text()}\n"

    def print_table(self, console: Console | None = None) -> None:
        """Print one table for each data set and degradation on the terminal, or on `console`.

        Means only and without the vessels' contrast, so that the table fits 80 columns.
        """
        console = console or Console()
        shown = {name: measure for name, measure in self._shown_measures().items() if measure.fits_terminal}
        tables: dict[tuple[str, str], Table] = {}
        for summary in self.summaries():
            group = (summary.data_set, summary.degradation)
            if group not in tables:
                # `Text`, because rich would read the bracket in a name such as "adaptor [light]" as markup.
                tables[group] = Table(
                    title=Text(f"{group[0]}: {group[1]}"), box=SIMPLE_HEAD, show_edge=False, padding=0
                )
                tables[group].add_column("method", overflow="fold")
                for heading in ("images", *(measure.heading for measure in shown.values())):
                    # A number cut short would be a wrong number: long method names give way instead.
                    longest_word = max(map(len, heading.split()))
                    tables[group].add_column(heading, justify="right", min_width=longest_word)
            cells = [
                _cell(summary.measures[name], measure.digits, with_deviation=False) for name, measure in shown.items()
            ]
            tables[group].add_row(Text(summary.method), str(summary.images), *cells)
        console.print(*tables.values(), Text(self._protocol_text()), sep="\n")

    def _shown_measures(self) -> dict[str, _Measure]:
        return {
            name: measure
            for name, measure in _MEASURES.items()
            if any(measure.read(row) is not None for row in self.rows)
        }

    def _protocol_text(self) -> str:
        lines = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in self.protocol.items())
        return f"Protocol: {lines}."


def _summarize(rows: Sequence[ReportRow], measure: _Measure) -> MeanAndDeviation | None:
    values = [value for row in rows if (value := measure.read(row)) is not None]
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return MeanAndDeviation(mean=statistics.fmean(values), deviation=deviation)


def _cell(value: MeanAndDeviation | None, digits: int, *, with_deviation: bool = True) -> str:
    if value is None:
        return "–"
    if value.deviation is None or not with_deviation:
        return f"{value.mean:.{digits}f}"
    return f"{value.mean:.{digits}f} ± {value.deviation:.{digits}f}"
