"""The report: one self-contained HTML page, which loads nothing from any network."""

import datetime
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import jinja2

from retina_adapt import __version__
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.report.entry import ReportEntry
from retina_adapt.report.errors import ReportInputError, ReportWriteError
from retina_adapt.report.identity import ModelIdentity
from retina_adapt.report.inspection import StructureBounds
from retina_adapt.report.pictures import (
    CHANGE_COLORS,
    CHANGE_SCALE,
    UNCERTAINTY_COLORS,
    UNCERTAINTY_SCALE,
    VESSEL_COLORS,
    style_color,
    style_gradient,
)

ASSETS = Path(__file__).parent / "assets"


def write_report(
    entries: Sequence[ReportEntry],
    path: Path | str,
    *,
    models: Sequence[ModelIdentity],
    settings: Mapping[str, str | int | float],
    failures: Sequence[str] = (),
    left_alone: int = 0,
) -> None:
    """Write one self-contained page; a killed process leaves the previous file whole.

    The page holds pictures of the photographs, about 0.3 MB for each: protect it like the photographs of patients that
    it shows.

    Args:
        entries: one for each enhanced photograph, see `report_entry`.
        path: a name that ends in `.html` or `.htm`.
        models: the backbone and every adaptor that took part.
        settings: how the photographs were enhanced, for readers: mode, steps, seeds.
        failures: one message for each photograph that could not be enhanced or shown.
        left_alone: number of photographs that the router found clear, and that were therefore copied.

    Raises:
        ReportInputError: there is nothing to report, or the name is not that of an HTML file.
        ReportWriteError: the file cannot be written.
    """
    path = Path(path)
    require_report_path(path)
    if not entries and not failures and not left_alone:
        raise ReportInputError(f"{path}: no photograph was enhanced, so there is nothing to report")
    page = (
        templates()
        .get_template("report.html")
        .render(
            entries=entries,
            models=models,
            settings=settings,
            bounds=StructureBounds(),
            failures=failures,
            left_alone=left_alone,
            version=__version__,
            date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            summary=_summary(entries),
            style="\n".join((ASSETS / name).read_text(encoding="utf-8") for name in ("viewer.css", "report.css")),
            script="\n".join((ASSETS / name).read_text(encoding="utf-8") for name in ("viewer.js", "report.js")),
        )
    )
    try:
        with write_file_atomically(path) as temporary:
            # A file name that is not UTF-8 contains surrogates; they are shown as escapes.
            temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ReportWriteError(
            f"{path}: cannot write the report ({error.strerror}); make room, or choose a writable folder"
        ) from error


def require_report_path(path: Path) -> None:
    """Raise ReportInputError if the name is not that of an HTML file."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ReportInputError(f"{path}: a report is an HTML file; give a name that ends in .html")


def render_photograph(entry: ReportEntry, number: int) -> str:
    """The HTML of one photograph's viewer, as in the report; `number` distinguishes it from others on the page."""
    return templates().get_template("photograph.html").render(entry=entry, number=number)


@cache
def templates() -> jinja2.Environment:
    """The page's templates, which escape all that is put into them, in particular file names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = _percent
    environment.globals.update(
        change_gradient=style_gradient(CHANGE_COLORS),
        change_scale=CHANGE_SCALE,
        uncertainty_gradient=style_gradient(UNCERTAINTY_COLORS),
        uncertainty_scale=UNCERTAINTY_SCALE,
        vessel_colors={name: style_color(color) for name, color in VESSEL_COLORS.items()},
    )
    return environment


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _summary(entries: Sequence[ReportEntry]) -> dict[str, str]:
    """The figures at the top of the page."""
    if not entries:
        return {}
    gains = [
        entry.quality_after.sharpness / entry.quality_before.sharpness
        for entry in entries
        if entry.quality_before.sharpness > 0
    ]
    kept = [entry.kept for entry in entries if entry.kept is not None]
    return {
        "photographs": str(len(entries)),
        "with a warning": str(sum(bool(entry.reasons) for entry in entries)),
        "median sharpness, after over before": f"× {statistics.median(gains):.2f}" if gains else "–",
        "median of vessels kept": _percent(statistics.median(kept)) if kept else "–",
    }
