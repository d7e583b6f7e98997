"""`retina-adapt enhance`: enhance photographs with one adaptor or several, or with the one that each needs."""

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from retina_adapt import __version__
from retina_adapt.adaptors import describe_adaptor
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.commands.batch import BatchResult, Outcome, batch_progress, failure_message, overlapped
from retina_adapt.commands.batch_report import require_report_seeds, write_batch_report
from retina_adapt.commands.journal import (
    SUMMARY_JSON,
    Journal,
    PhotographRecord,
    Status,
    read_journals,
    write_summary,
)
from retina_adapt.commands.photograph_list import ListedPhotograph, list_photographs
from retina_adapt.commands.plausibility import require_fundus
from retina_adapt.commands.processes import Processes
from retina_adapt.embedded import adaptor_folder, embedded_names, router_folder
from retina_adapt.enhancement import (
    EnhancementMode,
    EnhancementSettings,
    Enhancer,
    PreparedPhotograph,
    SmallChange,
    apply_at_own_size,
)
from retina_adapt.imaging import (
    FieldOfViewShape,
    Photograph,
    Provenance,
    UsedAdaptor,
    read_photograph,
    sha256_of,
    write_photograph,
)
from retina_adapt.report import ModelIdentity, identify_adaptor, require_report_path
from retina_adapt.routing import Route, Router, load_router

AUTO = "auto"
BACKBONE = "backbone"
ROUTES_FILE = "routes.json"


@dataclass(frozen=True)
class _ReadPhotograph:
    photograph: Photograph
    mask: np.ndarray | None
    prepared: PreparedPhotograph
    doubt: str


@dataclass(frozen=True)
class _Made:
    """Of one photograph: the reading, and by name of the adaptor asked for, what was found and what it took."""

    read: _ReadPhotograph
    changes: dict[str, tuple[str | None, SmallChange | None, dict[str, Any] | None, float]]


def enhance_photographs(
    source: Path | Sequence[Path],
    output: Path,
    *,
    adaptors: list[str],
    backbone: str,
    mode: EnhancementMode = "fast",
    steps: int = 4,
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
    """Enhance each photograph by each adaptor, in the photograph's own geometry and format.

    With one adaptor the results lie in `output`; with several, in one folder an adaptor below it. `summary.json` and
    `summary.csv` beside them tell what became of each. The same command resumes an interrupted run: what was enhanced
    by the same adaptor, backbone and settings from the same file is not enhanced again. Under `accelerate launch`, each
    process takes its share of the photographs.

    Args:
        source: a folder, a file, a pattern such as `scans/**/*.png`, or several of these.
        adaptors: names or folders. `auto` chooses for each photograph, by the embedded router, among the embedded
            adaptors and those given beside it, prints the choice, and records all choices in `routes.json` beside the
            results. A photograph that needs none, or whose adaptor there is not, is copied byte for byte.
        masks: folder of known fields of view: images of the photographs' names, nonzero inside.
        device: `auto` is what accelerate finds.
        workers: threads that read, and as many that write, while the network works.
        skip_existing: leave every result that is there, whatever made it.
        overwrite: enhance again what is done already.
        router: folder of the router for `auto`; the embedded one by default.
        report: HTML file for one page on all results; see `write_batch_report`.
        report_seeds: versions of each result for the page's uncertainty map, in the mode diffusion.
        settings: further fields of `EnhancementSettings`.

    Returns:
        What became of the photographs of all processes; on others than the main one, nothing.

    Raises:
        UnknownModelError, BackboneFileError, AdaptorFileError, RouterFileError, EnhancementInputError,
        OutputFolderError, ImageReadError: before any photograph is enhanced.
    """
    chosen_settings = EnhancementSettings(mode=mode, steps=steps, seed=seed, **settings)
    processes = Processes(device)
    listed = list_photographs([source] if isinstance(source, Path) else source, output)
    enhancer = Enhancer.from_pretrained(backbone, device=processes.device)
    chosen_settings.check(enhancer.backbone)
    fingerprint = enhancer.backbone.fingerprint()
    names = [adaptor if adaptor == AUTO else enhancer.load_adaptor(adaptor) for adaptor in adaptors]
    chosen_router = None
    if AUTO in names:
        chosen_router = _load_router(router or router_folder(), enhancer, fingerprint, processes.device)
    models = _identities(enhancer, backbone, fingerprint, dict(zip(names, adaptors, strict=True)))
    if report is not None:
        require_report_path(report)
        require_report_seeds(report_seeds, chosen_settings)
    request = {
        "version": __version__,
        "backbone": fingerprint,
        "adaptors": {name: _request_identity(name, models, router or router_folder()) for name in names},
        "settings": dataclasses.asdict(chosen_settings),
        "field_of_view": field_of_view,
        "masks": None if masks is None else str(masks),
    }
    run = _Run(enhancer, chosen_router, names, chosen_settings, output, field_of_view, masks, request, models)

    before = {} if overwrite else read_journals(output)
    planned = {photograph: run.planned_results(photograph) for photograph in listed}
    done = {
        record.output: dataclasses.replace(before.get(record.output, record), status=status, message="")
        for records in planned.values()
        for record in records
        if (status := run.status_before(record, before, skip_existing=skip_existing)) is not None
    }
    waiting = {
        photograph: [record for record in records if record.output not in done]
        for photograph, records in planned.items()
    }
    # Nobody may write before everybody has seen what is left.
    processes.wait()
    share = processes.share_of([photograph for photograph, records in waiting.items() if records])
    journal = Journal(output, processes.index)
    own_console = console if processes.is_main else Console(quiet=True)
    for photograph, records in run.outcomes(share, waiting, own_console, workers):
        for record in records:
            journal.append(record)
            if verbose or record.route is not None:
                own_console.print(_line(photograph, record), highlight=False, soft_wrap=True)
    processes.wait()
    result = BatchResult(is_of_another_process=True)
    if processes.is_main:
        after = read_journals(output)
        planned_records = [record for records in planned.values() for record in records]
        records = [done.get(record.output) or _newest(record, after) for record in planned_records]
        write_summary(output, records, {**request, "sources": _printable(source)})
        if chosen_router is not None:
            _write_routes(run.folders[AUTO], output, records)
        if report is not None:
            write_batch_report(
                report,
                records,
                output=output,
                enhancer=enhancer,
                models=models,
                settings=chosen_settings,
                field_of_view=field_of_view,
                mask_of=run.known_mask,
                seeds=report_seeds,
            )
        result = _result(output, records, done)
    # The launcher ends the others as soon as one fails.
    processes.wait()
    return result


class _Run:
    """One run's choices, and what they make of a photograph."""

    def __init__(
        self,
        enhancer: Enhancer,
        router: Router | None,
        names: list[str],
        settings: EnhancementSettings,
        output: Path,
        field_of_view: FieldOfViewShape,
        masks: Path | None,
        request: dict[str, Any],
        models: Mapping[str, ModelIdentity],
    ) -> None:
        self.enhancer, self.router, self.names, self.settings = enhancer, router, names, settings
        self.output, self.field_of_view, self.masks, self.models = output, field_of_view, masks, models
        self.folders = {name: output if len(names) == 1 else output / name for name in names}
        self.request = request

    def planned_results(self, listed: ListedPhotograph) -> list[PhotographRecord]:
        """A record for each adaptor, as if the photograph had failed."""
        state = listed.path.stat() if listed.path.exists() else None
        content = [self.request, state and (state.st_size, state.st_mtime_ns)]
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return [
            PhotographRecord(
                photograph=str(listed.path),
                output=(self.folders[name] / listed.relative).relative_to(self.output).as_posix(),
                adaptor=name,
                status="failed",
                message=f"{listed.path}: not enhanced: the process that it was given to was lost; run the same command "
                "again",
                request=key,
            )
            for name in self.names
        ]

    def status_before(
        self, record: PhotographRecord, before: dict[str, PhotographRecord], *, skip_existing: bool
    ) -> Status | None:
        """The status of a result that is there already; None if there is work to do."""
        if not (self.output / record.output).is_file():
            return None
        known = before.get(record.output)
        if known is not None and known.is_done and known.request == record.request:
            return known.status
        return "skipped" if skip_existing else None

    def outcomes(
        self,
        share: list[ListedPhotograph],
        waiting: dict[ListedPhotograph, list[PhotographRecord]],
        console: Console,
        workers: int,
    ) -> Iterator[tuple[ListedPhotograph, list[PhotographRecord]]]:
        """(photograph, its finished records) one after the other."""
        with batch_progress(console) as progress:
            task = progress.add_task("Enhancing", total=len(share))
            made = overlapped(
                share,
                self._read,
                lambda listed, read: self._work(read, [record.adaptor for record in waiting[listed]]),
                lambda listed, made: self._write(made, waiting[listed]),
                workers=workers,
            )
            for outcome in made:
                yield outcome.item, self._records(outcome, waiting[outcome.item])
                progress.advance(task)

    def known_mask(self, photograph: Path) -> np.ndarray | None:
        """The photograph's known field of view, bool (H, W); None where it is to be looked for."""
        if self.masks is None:
            return None
        return read_photograph(_mask_of(photograph, self.masks)).pixels.max(axis=2) > 0

    def _read(self, listed: ListedPhotograph) -> _ReadPhotograph:
        photograph = read_photograph(listed.path)
        mask = self.known_mask(listed.path)
        prepared = self.enhancer.prepare(
            photograph.pixels,
            self.settings,
            field_of_view=self.field_of_view,
            mask=mask,
            name=str(listed.path),
        )
        doubt = ""
        if mask is None and self.field_of_view == "auto":
            doubt = require_fundus(photograph.pixels, prepared.field_of_view, str(listed.path))
        return _ReadPhotograph(photograph, mask, prepared, doubt)

    def _work(self, read: _ReadPhotograph, names: list[str]) -> _Made:
        changes = {}
        for name in names:
            started = time.perf_counter()
            route = None
            chosen: str | None = name
            if self.router is not None and name == AUTO:
                route = self.router.route(
                    read.photograph,
                    self.enhancer.adaptors,
                    field_of_view=self.field_of_view,
                    mask=read.mask,
                    name=read.prepared.name,
                )
                chosen = route.adaptor
            change = None
            if chosen is not None:
                self.enhancer.set_adaptor(chosen)
                (change,) = self.enhancer.small_changes([read.prepared], self.settings)
            plain_route = None if route is None else dataclasses.asdict(route)
            changes[name] = (chosen, change, plain_route, time.perf_counter() - started)
        return _Made(read, changes)

    def _write(self, made: _Made, records: list[PhotographRecord]) -> list[PhotographRecord]:
        finished = []
        photograph = made.read.photograph
        height, width = photograph.pixels.shape[:2]
        for record in records:
            chosen, change, route, seconds = made.changes[record.adaptor]
            target = self.output / record.output
            if change is None or chosen is None:
                # The file rather than its pixels: writing a JPEG anew would change them.
                with write_file_atomically(target) as temporary:
                    shutil.copyfile(record.photograph, temporary)
            else:
                pixels = apply_at_own_size(made.read.prepared, change)
                provenance = self._provenance(Path(record.photograph), chosen)
                write_photograph(dataclasses.replace(photograph, pixels=pixels, provenance=provenance), target)
            finished.append(
                dataclasses.replace(
                    record,
                    status="copied" if change is None else "enhanced",
                    message=made.read.doubt,
                    used_adaptor=chosen,
                    width=width,
                    height=height,
                    tile_size=None if change is None else change.tile_side,
                    seconds=round(seconds, 4),
                    route=route,
                    finished=time.time(),
                )
            )
        return finished

    def _provenance(self, photograph: Path, adaptor: str) -> Provenance:
        is_sampled = self.settings.mode == "diffusion"
        return Provenance(
            software=f"retina_adapt {__version__}",
            backbone=self.models[BACKBONE].name,
            backbone_fingerprint=self.models[BACKBONE].fingerprint,
            adaptors=(UsedAdaptor(adaptor, self.models[adaptor].fingerprint),),
            mode=self.settings.mode,
            steps=self.settings.steps if is_sampled else None,
            seed=self.settings.seed if is_sampled else None,
            input_sha256=sha256_of(photograph.read_bytes()),
        )

    @staticmethod
    def _records(
        outcome: Outcome[ListedPhotograph, list[PhotographRecord]], waiting: list[PhotographRecord]
    ) -> list[PhotographRecord]:
        if outcome.error is None:
            return outcome.result or []
        message = failure_message(outcome.item.path, outcome.error)
        return [dataclasses.replace(record, message=message, finished=time.time()) for record in waiting]


def _newest(planned: PhotographRecord, after: dict[str, PhotographRecord]) -> PhotographRecord:
    """What a process of this run says of a result; the planned record itself where none does."""
    found = after.get(planned.output)
    return found if found is not None and found.request == planned.request else planned


def _line(photograph: ListedPhotograph, record: PhotographRecord) -> str:
    if record.route is not None:
        return f"{photograph.relative}: {Route(**record.route)}"
    return f"{photograph.relative}: {record.status} by {record.adaptor}, {record.seconds:.2f} s in the network"


def _result(output: Path, records: list[PhotographRecord], done: Container[str]) -> BatchResult:
    result = BatchResult(summary=output / SUMMARY_JSON)
    for record in records:
        path = output / record.output
        if record.output in done:
            result.skipped.append(path)
        elif record.status == "failed":
            result.failures.append(record.message)
        else:
            result.written.append(path)
            if record.message:
                result.warnings.append(record.message)
    # One line a photograph, however many adaptors it was to be enhanced by.
    result.failures = list(dict.fromkeys(result.failures))
    result.warnings = list(dict.fromkeys(result.warnings))
    return result


def _write_routes(folder: Path, output: Path, records: list[PhotographRecord]) -> None:
    routes = {
        (output / record.output).relative_to(folder).as_posix(): record.route
        for record in records
        if record.adaptor == AUTO and record.route is not None
    }
    with write_file_atomically(folder / ROUTES_FILE) as temporary:
        temporary.write_text(json.dumps(routes, indent=1) + "\n", encoding="utf-8")


def _identities(
    enhancer: Enhancer, backbone: str, fingerprint: str, asked_for: Mapping[str, str]
) -> dict[str, ModelIdentity]:
    """The backbone under "backbone", and each loaded adaptor under its name."""
    return {BACKBONE: ModelIdentity("backbone", Path(backbone).name, fingerprint)} | {
        name: identify_adaptor(adaptor_folder(asked_for.get(name, name)), name) for name in enhancer.adaptors
    }


def _request_identity(name: str, models: Mapping[str, ModelIdentity], router: Path) -> str:
    """Of an adaptor, its sha256; of the choice by the router, the sha256 of all that it rests on."""
    if name != AUTO:
        return models[name].fingerprint
    files = sorted(path for path in router.rglob("*") if path.is_file())
    parts = [path.read_bytes() for path in files]
    parts += [identity.fingerprint.encode() for name, identity in sorted(models.items()) if name != BACKBONE]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _printable(source: Path | Sequence[Path]) -> list[str]:
    return [str(path) for path in ([source] if isinstance(source, Path) else source)]


def _load_router(folder: Path, enhancer: Enhancer, fingerprint: str, device: Any) -> Router:
    """The router; the embedded adaptors that it may choose and that fit this backbone are loaded beside the others."""
    router = load_router(folder)
    router.network.to(device)
    wanted = {*router.settings.adaptors.values()} & {*embedded_names("adaptors")} - {*enhancer.adaptors}
    for name in sorted(wanted):
        if describe_adaptor(adaptor_folder(name)).backbone_fingerprint == fingerprint:
            enhancer.load_adaptor(name)
    return router


def _mask_of(photograph: Path, masks: Path) -> Path:
    found = sorted(masks.glob(f"{photograph.stem}.*"))
    # A missing mask gives the reader's own error, which names the file that was looked for.
    return found[0] if found else masks / f"{photograph.stem}.png"
