"""`retina-adapt enhance`: enhance photographs with one adaptor or several, or with the one that each needs."""

import dataclasses
import json
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from retina_adapt import __version__
from retina_adapt.commands.adaptor_choice import load_choices
from retina_adapt.commands.batch import BatchResult
from retina_adapt.commands.batch_report import require_own_page, require_report_seeds, write_batch_report
from retina_adapt.commands.earlier_results import EarlierResults, sort_earlier_results
from retina_adapt.commands.enhancement_run import EnhancementRun
from retina_adapt.commands.journal import (
    SUMMARY_JSON,
    Journal,
    PhotographRecord,
    read_journals,
    require_own_summary,
    shown_sequence,
    write_summary,
)
from retina_adapt.commands.known_masks import KnownMasks
from retina_adapt.commands.photograph_list import (
    ListedPhotograph,
    list_photographs,
    make_output_folder,
    require_photographs_stay,
)
from retina_adapt.commands.processes import Processes
from retina_adapt.commands.records import require_own_record, write_json_record
from retina_adapt.commands.sole_run import ending_on_sigterm, sole_run
from retina_adapt.commands.used_models import AUTO, identities_of, request_identity
from retina_adapt.embedded import router_folder
from retina_adapt.enhancement import EnhancementInputError, EnhancementMode, EnhancementSettings, Enhancer
from retina_adapt.errors import printable
from retina_adapt.imaging import FieldOfViewShape
from retina_adapt.report import ReportWriteError, require_report_path
from retina_adapt.routing import Route

ROUTES_FILE = "routes.json"


def enhance_photographs(
    source: Path | Sequence[Path],
    output: Path,
    *,
    adaptors: list[str],
    backbone: str,
    then: Sequence[str] = (),
    mode: EnhancementMode = "fast",
    seed: int = 0,
    field_of_view: FieldOfViewShape = "auto",
    masks: Path | None = None,
    device: str = "auto",
    console: Console,
    workers: int = 2,
    skip_existing: bool = False,
    overwrite: bool = False,
    verbose: bool = False,
    router: Path | None = None,
    report: Path | None = None,
    report_seeds: int = 1,
    **settings: Any,
) -> BatchResult:
    """Enhance each photograph with each adaptor, keeping the photograph's geometry and format.

    With one adaptor, the results lie in `output`; with several, in a subfolder for each adaptor. `summary.json` and
    `summary.csv` in `output` say what became of each photograph. The same command resumes an interrupted run: a result
    that the same adaptor, backbone and settings made from the same file is not made again. Under `accelerate launch`,
    each process takes its share of the photographs.

    Args:
        source: a folder, a file, a pattern such as `scans/**/*.png`, or several of these.
        adaptors: names, paths, or NAME=PATH to choose the name. With `auto`, the router chooses for each photograph
            among the embedded adaptors and those given beside `auto`; each choice is printed, and all are recorded in
            `routes.json` beside the results. A photograph that needs no adaptor, or whose adaptor is not available, is
            copied byte for byte.
        then: further adaptors that each result goes through, given as in `adaptors` but without `auto`; see
            `Enhancer.set_adaptor_sequence`. None is used twice on a photograph, and none on one that `auto` leaves
            alone.
        masks: folder of known fields of view: images named as the photographs, nonzero inside.
        device: `auto` is what accelerate finds.
        workers: number of threads that read, and of threads that write, while the network works.
        skip_existing: leave every existing result, whatever made it.
        overwrite: enhance again even what is done already.
        router: folder of the router for `auto`; the embedded one by default.
        report: HTML file for one page on all results; see `write_batch_report`.
        report_seeds: versions of each result for the page's uncertainty map, in the mode diffusion.
        settings: further fields of `EnhancementSettings`.

    Returns:
        What became of the photographs of all processes; empty on all processes but the main one.

    Raises:
        UnknownModelError, BackboneFileError, AdaptorFileError, RouterFileError, EnhancementInputError,
        OutputFolderError, ForeignFileError, ImageReadError, AdaptorNameError, DeviceError: before any photograph is
            enhanced.
        RecordWriteError: a journal, the summary or `routes.json` cannot be written.
    """
    chosen_settings = EnhancementSettings(mode=mode, seed=seed, **settings)
    if skip_existing and overwrite:
        raise EnhancementInputError("--skip-existing keeps every result and --overwrite none; give one of the two")
    if router is not None and AUTO not in adaptors:
        raise EnhancementInputError(
            f"{router}: a router is only used by --adaptor auto; add that, or leave --router out"
        )
    known_masks = KnownMasks(masks)
    processes = Processes(device)
    sources = [source] if isinstance(source, Path) else source
    found = list_photographs(sources, output)
    listed = known_masks.without(found.photographs)
    known_masks.require_own(listed)
    enhancer = Enhancer.from_pretrained(backbone, device=processes.device)
    chosen_settings.check(enhancer.backbone)
    fingerprint = enhancer.backbone.fingerprint()
    router_of_run = router or router_folder()
    choices = load_choices(
        enhancer, adaptors, then, router=router_of_run, fingerprint=fingerprint, device=processes.device
    )
    models = identities_of(enhancer, backbone, fingerprint, choices.asked_for)
    require_report_seeds(report_seeds, chosen_settings, report)
    if report is not None:
        require_report_path(report)
        require_own_page(report)
    request = {
        "version": __version__,
        "backbone": fingerprint,
        "adaptors": {name: request_identity(name, models, router_of_run) for name in choices.names},
        "then": [{"name": name, "sha256": models[name].sha256} for name in choices.then],
        "settings": dataclasses.asdict(chosen_settings),
        "field_of_view": field_of_view,
        "masks": None if masks is None else str(masks),
    }
    run = EnhancementRun(
        enhancer=enhancer,
        choices=choices,
        settings=chosen_settings,
        output=output,
        field_of_view=field_of_view,
        masks=known_masks,
        request=request,
        models=models,
    )
    planned = {photograph: run.planned_results(photograph) for photograph in listed}
    all_planned = [record for records in planned.values() for record in records]
    require_photographs_stay((photograph.path for photograph in listed), (output / it.output for it in all_planned))
    require_own_summary(output)
    if choices.router is not None:
        require_own_record(run.folder_of(AUTO) / ROUTES_FILE, _are_routes)
    make_output_folder(output)
    with sole_run(output, is_main=processes.is_main):
        earlier = EarlierResults()
        if not overwrite:
            earlier = sort_earlier_results(output, all_planned, read_journals(output), skip_existing=skip_existing)
        waiting = {
            photograph: [record for record in records if record.output not in earlier.done]
            for photograph, records in planned.items()
        }
        # No process may write before every process has seen what is left to do.
        processes.wait()
        share = processes.share_of([photograph for photograph, records in waiting.items() if records])
        journal = Journal(output, processes.index)
        own_console = console if processes.is_main else Console(quiet=True, markup=False)
        try:
            with ending_on_sigterm():
                for photograph, records in run.outcomes(share, waiting, own_console, workers):
                    for record in records:
                        journal.append(record)
                        if verbose or record.route is not None:
                            own_console.print(_line(photograph, record))
        except KeyboardInterrupt:
            own_console.print("Stopped; what is done is kept, and the same command resumes.", style="bold")
            raise
        processes.wait()
        result = BatchResult(is_of_another_process=True)
        if processes.is_main:
            after = read_journals(output)
            records = [earlier.done.get(record.output) or _newest(record, after) for record in all_planned]
            write_summary(output, records, {**request, "sources": [str(path) for path in sources]}, found.unreachable)
            if choices.router is not None:
                _write_routes(run.folder_of(AUTO), output, records)
            result = _result(output, records, earlier.done)
            result.failures += found.unreachable
            if report is not None:
                by_path = {photograph.path.absolute(): photograph for photograph in listed}
                try:
                    write_batch_report(
                        report,
                        records,
                        output=output,
                        enhancer=enhancer,
                        models=models,
                        settings=chosen_settings,
                        field_of_view=field_of_view,
                        mask_of=lambda path: known_masks.read(by_path[path]),
                        seeds=report_seeds,
                        unreachable=found.unreachable,
                    )
                    result.report = report
                except ReportWriteError as error:
                    # What became of the photographs, perhaps after hours, must be told all the same.
                    result.failures.append(str(error))
            if replaced := [record for record in records if record.output in earlier.replaced and record.is_done]:
                result.warnings.append(
                    f"{output}: replaced results of an earlier run ({len(replaced)}), because its adaptor, "
                    "settings, photographs or masks were different; to keep both, give each run its own output folder"
                )
            result.warnings += choices.warnings
            result.warnings += filter(None, [found.left_alone])
        # As soon as one process fails, the launcher ends the others.
        processes.wait()
        return result


def _newest(planned: PhotographRecord, after: dict[str, PhotographRecord]) -> PhotographRecord:
    """The record of a result by a process of this run, or the planned one if there is none."""
    found = after.get(planned.output)
    return found if found is not None and found.request == planned.request else planned


def _line(photograph: ListedPhotograph, record: PhotographRecord) -> str:
    name = printable(str(photograph.relative))
    if record.route is not None:
        return f"{name}: {Route(**record.route)}"
    by = shown_sequence(record) or record.adaptor
    return f"{name}: {record.status} by {by}, {record.seconds:.2f} s in the network"


def _result(output: Path, records: list[PhotographRecord], done: Container[str]) -> BatchResult:
    result = BatchResult(summary=output / SUMMARY_JSON)
    for record in records:
        path = output / record.output
        if record.status == "failed":
            result.failures.append(record.message)
            continue
        (result.skipped if record.output in done else result.written).append(path)
        if record.message:
            result.warnings.append(record.message)
    # One line per photograph, however many adaptors were asked for.
    result.failures = list(dict.fromkeys(result.failures))
    result.warnings = list(dict.fromkeys(result.warnings))
    return result


def _are_routes(content: bytes) -> bool:
    try:
        found = json.loads(content)
    except ValueError:
        return False
    return isinstance(found, dict) and all(isinstance(route, dict) and "fault" in route for route in found.values())


def _write_routes(folder: Path, output: Path, records: list[PhotographRecord]) -> None:
    routes = {
        (output / record.output).relative_to(folder).as_posix(): record.route
        for record in records
        if record.adaptor == AUTO and record.route is not None
    }
    write_json_record(folder / ROUTES_FILE, routes)
