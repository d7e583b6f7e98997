"""The report of `retina-adapt enhance`: one page on every result, also of earlier runs and other processes."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from retina_adapt.commands.journal import PhotographRecord, shown_sequence
from retina_adapt.commands.records import require_own_record
from retina_adapt.enhancement import EnhancementInputError, EnhancementSettings, Enhancer
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import FieldOfViewShape, Photograph, read_photograph
from retina_adapt.report import ModelIdentity, ReportEntry, report_entry, write_report
from retina_adapt.report.quality import measured_frame
from retina_adapt.routing import CLEAR

# By which a report is known: it stands in its first lines.
_TITLE, _HEAD_BYTES = b"<title>Enhanced photographs</title>", 2048


def require_report_seeds(seeds: int, settings: EnhancementSettings, report: Path | None) -> None:
    """Raises EnhancementInputError if there is no report, or these settings give the same result for every seed."""
    if seeds > 1 and report is None:
        raise EnhancementInputError(f"--report-seeds {seeds} is for the report's uncertainty map; add --report FILE")
    if seeds > 1 and settings.mode != "diffusion":
        raise EnhancementInputError(
            f"--report-seeds {seeds} asks for an uncertainty map, but the mode {settings.mode} gives the same result "
            "for every seed; add --mode diffusion"
        )


def require_own_page(report: Path) -> None:
    """Raises ForeignFileError if a page of this name is there that is no report of an earlier run."""
    require_own_record(report, lambda content: _TITLE in content[:_HEAD_BYTES])


def write_batch_report(
    path: Path,
    records: Sequence[PhotographRecord],
    *,
    output: Path,
    enhancer: Enhancer,
    models: Mapping[str, ModelIdentity],
    settings: EnhancementSettings,
    field_of_view: FieldOfViewShape,
    mask_of: Callable[[Path], np.ndarray | None],
    seeds: int = 1,
    unreachable: Sequence[str] = (),
) -> None:
    """Read every original and its result again and write one page on them; what cannot be shown is named there.

    Args:
        path: of the page, ends in `.html`.
        records: what became of the photographs.
        output: folder that the records' results lie in.
        enhancer: with the adaptors that the records name, for further versions.
        models: the backbone under "backbone", and the adaptors by the records' names.
        settings: that the results were made with.
        field_of_view: where it was looked for.
        mask_of: gives a photograph's known field of view, bool (H, W), or None.
        seeds: versions of each result in the mode diffusion, for the uncertainty map.
        unreachable: messages on what may hold more photographs.

    Raises:
        ReportInputError, ReportWriteError: see `write_report`.
    """
    entries, failures, clear = [], list(unreachable), 0
    for record in records:
        if record.status == "failed":
            failures.append(record.message)
        elif record.status == "skipped":
            # Nobody knows what made it: these settings, or others.
            failures.append(f"{record.photograph}: not in this report: its result was there already")
        elif record.route is not None and not record.used_adaptors and record.route["fault"] != CLEAR:
            found = f"{record.route['fault']} at {record.route['confidence']:.0%}"
            failures.append(f"{record.photograph}: left as it is: {found}, but {record.route['note']}")
        elif not record.used_adaptors:
            clear += 1
        else:
            try:
                entries.append(_entry(record, output, enhancer, settings, field_of_view, mask_of, seeds))
            except (RetinaAdaptError, OSError) as error:
                # Somebody may have changed or removed a result of an earlier run.
                failures.append(f"{record.photograph}: not in this report: {error}")
    used = {name for record in records if record.status != "skipped" for name in record.used_adaptors}
    shown: dict[str, str | int] = {"mode": settings.mode, "detail": settings.detail}
    if settings.mode == "diffusion":
        shown |= {"steps": settings.denoiser_steps, "seed": settings.seed}
    identities = [models["backbone"], *(identity for name, identity in models.items() if name in used)]
    write_report(entries, path, models=identities, settings=shown, failures=failures, left_alone=clear)


def _entry(
    record: PhotographRecord,
    output: Path,
    enhancer: Enhancer,
    settings: EnhancementSettings,
    field_of_view: FieldOfViewShape,
    mask_of: Callable[[Path], np.ndarray | None],
    seeds: int,
) -> ReportEntry:
    before = read_photograph(record.photograph)
    after = read_photograph(output / record.output)
    mask = mask_of(Path(record.photograph))
    versions: list[np.ndarray] = []
    if seeds > 1:
        enhancer.set_adaptor_sequence(record.used_adaptors)
        versions = [
            _version(before, enhancer, dataclasses.replace(settings, seed=settings.seed + offset), field_of_view, mask)
            for offset in range(seeds)
        ]
    return report_entry(
        record.output,
        before.pixels,
        after.pixels,
        adaptor=shown_sequence(record),
        mask=mask,
        field_of_view=field_of_view,
        versions=versions,
    )


def _version(
    photograph: Photograph,
    enhancer: Enhancer,
    settings: EnhancementSettings,
    field_of_view: FieldOfViewShape,
    mask: np.ndarray | None,
) -> np.ndarray:
    """Enhanced anew, at the measured size: what a file lost when it was written is no uncertainty of sampling."""
    enhancement = enhancer.enhance(photograph, settings, field_of_view=field_of_view, mask=mask)
    return measured_frame(enhancement.image.pixels, enhancement.field_of_view.mask)[0]
