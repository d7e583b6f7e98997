"""The report of `retina-adapt enhance`: a page on all results, also of earlier runs and other processes."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from retina_adapt.commands.journal import PhotographRecord, shown_sequence
from retina_adapt.commands.records import require_own_record
from retina_adapt.enhancement import EnhancementInputError, EnhancementSettings, Enhancer
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import FieldOfViewShape, Photograph, find_field_of_view, read_photograph
from retina_adapt.report import ModelIdentity, ReportEntry, report_entry, write_report
from retina_adapt.report.quality import measured_frame
from retina_adapt.routing import CLEAR

# A report is recognised by this title in its first bytes.
_TITLE, _HEAD_BYTES = b"<title>Enhanced photographs</title>", 2048


def require_report_seeds(seeds: int, settings: EnhancementSettings, report: Path | None) -> None:
    """Raise EnhancementInputError if several seeds are asked for without a report or a mode that depends on them."""
    if seeds > 1 and report is None:
        raise EnhancementInputError(f"--report-seeds {seeds} is for the report's uncertainty map; add --report FILE")
    if seeds > 1 and settings.mode != "diffusion":
        raise EnhancementInputError(
            f"--report-seeds {seeds} asks for an uncertainty map, but the mode {settings.mode} gives the same result "
            "for every seed; add --mode diffusion"
        )


def require_own_page(report: Path) -> None:
    """Raise ForeignFileError if this file exists and is not the report of an earlier run."""
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
    """Read every original and its result again and write one page on them, which also names what it cannot show.

    Args:
        path: file of the page; its name ends in `.html`.
        records: what became of the photographs.
        output: folder that the records' results lie in.
        enhancer: holds the adaptors that the records name, to make further versions.
        models: the backbone under "backbone", and the adaptors under their names in the records.
        settings: the settings that the results were made with.
        field_of_view: the shape that the run was given.
        mask_of: gives a photograph's known field of view, bool (H, W), or None.
        seeds: number of versions of each result for the uncertainty map, in the mode diffusion.
        unreachable: messages on places that could not be searched for photographs.

    Raises:
        ReportInputError, ReportWriteError: see `write_report`.
    """
    entries, failures, clear = [], list(unreachable), 0
    for record in records:
        if record.status == "failed":
            failures.append(record.message)
        elif record.status == "skipped":
            # It may have been made with other settings.
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
        shown |= {"steps": settings.sampling_steps, "seed": settings.seed}
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
    mask = find_field_of_view(
        before.pixels,
        name=record.photograph,
        mask=mask_of(Path(record.photograph)),
        field_of_view=field_of_view,
        transparent=before.transparent,
    ).mask
    versions: list[np.ndarray] = []
    if seeds > 1:
        enhancer.set_adaptor_sequence(record.used_adaptors)
        versions = [
            _version(before, enhancer, dataclasses.replace(settings, seed=settings.seed + offset), mask)
            for offset in range(seeds)
        ]
    return report_entry(
        record.output,
        before.pixels,
        after.pixels,
        adaptor=shown_sequence(record),
        mask=mask,
        versions=versions,
    )


def _version(
    photograph: Photograph,
    enhancer: Enhancer,
    settings: EnhancementSettings,
    mask: np.ndarray,
) -> np.ndarray:
    """Enhance anew, at the measured size: what a file lost when it was encoded is not uncertainty of sampling."""
    return measured_frame(enhancer.enhance(photograph, settings, mask=mask).image.pixels, mask)[0]
