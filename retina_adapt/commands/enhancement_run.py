"""One run of `retina-adapt enhance`: plan, read, enhance, write and record each photograph."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.commands.adaptor_choice import LoadedChoices
from retina_adapt.commands.batch import Outcome, batch_progress, failure_message, overlapped
from retina_adapt.commands.earlier_results import number_and_change, size_and_time
from retina_adapt.commands.journal import PhotographRecord
from retina_adapt.commands.known_masks import KnownMasks
from retina_adapt.commands.photograph_list import ListedPhotograph
from retina_adapt.commands.used_models import AUTO, BACKBONE
from retina_adapt.enhancement import (
    EnhancementSettings,
    Enhancer,
    PhotographCopies,
    SmallChange,
    apply_at_own_size,
    provenance_of,
)
from retina_adapt.imaging import (
    FieldOfViewShape,
    ImageReadError,
    ImageWriteError,
    Photograph,
    UsedAdaptor,
    decode_photograph,
    read_encoded,
    require_format_for,
    sha256_of,
    write_photograph,
)
from retina_adapt.imaging.plausibility import doubt_about_colors, doubt_about_samples, require_fundus
from retina_adapt.report import ModelIdentity
from retina_adapt.routing import Route


@dataclass(frozen=True)
class _ReadPhotograph:
    encoded: bytes
    photograph: Photograph
    prepared: PhotographCopies
    doubt: str
    mask_sha256: str


@dataclass(frozen=True)
class _Change:
    """The change that a requested adaptor made; None if the router left the photograph alone.

    `used` are the adaptors that made it, one after the other.
    """

    used: list[str]
    change: SmallChange | None
    route: Route | None
    seconds: float


@dataclass(frozen=True)
class _Made:
    """A photograph as read, and for each requested adaptor by name, its change or the error that prevented it."""

    read: _ReadPhotograph
    changes: dict[str, _Change | Exception]


@dataclass(frozen=True, kw_only=True)
class EnhancementRun:
    """The choices of one run, applied to each photograph."""

    enhancer: Enhancer
    choices: LoadedChoices
    settings: EnhancementSettings
    output: Path
    field_of_view: FieldOfViewShape
    masks: KnownMasks
    request: dict[str, Any]
    models: Mapping[str, ModelIdentity]

    def folder_of(self, name: str) -> Path:
        """Where the results of the adaptor `name` go."""
        return self.output if len(self.choices.names) == 1 else self.output / name

    def planned_results(self, listed: ListedPhotograph) -> list[PhotographRecord]:
        """A record for each adaptor, marked as failed until the photograph is done."""
        mask = self.masks.path_of(listed)
        states = [size_and_time(listed.path), None if mask is None else size_and_time(mask)]
        return [
            PhotographRecord(
                photograph=str(listed.path.absolute()),
                output=(self.folder_of(name) / listed.relative).relative_to(self.output).as_posix(),
                adaptor=name,
                status="failed",
                message=f"{listed.path}: not enhanced: its process was lost; run the same command again",
                request=self._key_of(name, states),
                file_state=number_and_change(listed.path),
                mask="" if mask is None else str(mask.absolute()),
                mask_state=[] if mask is None else number_and_change(mask),
            )
            for name in self.choices.names
        ]

    def _key_of(self, name: str, states: list[Any]) -> str:
        """A hash of all that a result under the adaptor `name` depends on: not other adaptors, nor the batch size."""
        settings = {key: value for key, value in self.request["settings"].items() if key != "batch_size"}
        request = {**self.request, "adaptors": self.request["adaptors"][name], "settings": settings}
        # What counts is the photograph's own mask, which is among the states, not where masks lie.
        del request["masks"]
        return hashlib.sha256(json.dumps([request, *states], sort_keys=True).encode()).hexdigest()

    def outcomes(
        self,
        share: list[ListedPhotograph],
        waiting: dict[ListedPhotograph, list[PhotographRecord]],
        console: Console,
        workers: int,
    ) -> Iterator[tuple[ListedPhotograph, list[PhotographRecord]]]:
        """Yield each photograph with its finished records."""
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

    def _read(self, listed: ListedPhotograph) -> _ReadPhotograph:
        encoded = read_encoded(listed.path)
        photograph = decode_photograph(encoded, str(listed.path))
        try:
            require_format_for(photograph, listed.path)
        except ImageWriteError as error:
            raise ImageReadError(f"{error}: rename the file to what it is, since the result keeps its name") from error
        mask = self.masks.read(listed)
        prepared = self.enhancer.prepare(
            photograph.pixels,
            self.settings,
            field_of_view=self.field_of_view,
            mask=mask,
            transparent=photograph.transparent,
            name=str(listed.path),
        )
        name = str(listed.path)
        doubts = [doubt_about_samples(photograph, name), doubt_about_colors(photograph, name)]
        if mask is None and self.field_of_view == "auto":
            doubts.append(require_fundus(photograph.pixels, prepared.field_of_view, str(listed.path)))
        if photograph.provenance is not None:
            doubts.append(
                f"{listed.path}: is itself a result of enhancement; enhance the photograph that it was made from"
            )
        mask_path = self.masks.path_of(listed)
        mask_sha256 = "" if mask_path is None else sha256_of(read_encoded(mask_path))
        return _ReadPhotograph(encoded, photograph, prepared, "; ".join(filter(None, doubts)), mask_sha256)

    def _work(self, read: _ReadPhotograph, names: list[str]) -> _Made:
        made = _Made(read, {})
        for name in names:
            try:
                made.changes[name] = self._change(read, name)
            except Exception as error:
                # It concerns this adaptor alone: the changes of the others are kept.
                made.changes[name] = error
        return made

    def _change(self, read: _ReadPhotograph, name: str) -> _Change:
        started = time.perf_counter()
        route = None
        chosen: str | None = name
        if self.choices.router is not None and name == AUTO:
            route = self.choices.router.route(
                read.photograph,
                self.choices.routable,
                mask=read.prepared.field_of_view.mask,
                name=read.prepared.name,
            )
            chosen = route.adaptor
        change = None
        used = [] if chosen is None else [chosen, *(further for further in self.choices.then if further != chosen)]
        if used:
            self.enhancer.set_adaptor_sequence(used)
            (change,) = self.enhancer.small_changes([read.prepared], self.settings)
        return _Change(used, change, route, time.perf_counter() - started)

    def _write(self, made: _Made, records: list[PhotographRecord]) -> list[PhotographRecord]:
        digest = sha256_of(made.read.encoded)
        finished = []
        for record in records:
            try:
                written = self._write_one(made, record, digest)
            except Exception as error:
                written = dataclasses.replace(record, message=failure_message(Path(record.photograph), error))
            finished.append(
                dataclasses.replace(
                    written, input_sha256=digest, mask_sha256=made.read.mask_sha256, finished=time.time()
                )
            )
        return finished

    def _write_one(self, made: _Made, record: PhotographRecord, digest: str) -> PhotographRecord:
        """Write one result, and return its record."""
        found = made.changes[record.adaptor]
        if isinstance(found, Exception):
            raise found
        change = found.change
        photograph = made.read.photograph
        height, width = photograph.pixels.shape[:2]
        target = self.output / record.output
        if change is None:
            # Copy the file's bytes rather than its pixels, which encoding a JPEG again would change.
            with write_file_atomically(target) as temporary:
                temporary.write_bytes(made.read.encoded)
        else:
            pixels = apply_at_own_size(made.read.prepared, change)
            provenance = provenance_of(
                self.settings,
                backbone=self.models[BACKBONE].name,
                backbone_fingerprint=self.models[BACKBONE].sha256,
                adaptors=[
                    UsedAdaptor(name, self.models[name].sha256, turn=turn)
                    for turn, name in enumerate(found.used, start=1)
                ],
                input_sha256=digest,
            )
            write_photograph(dataclasses.replace(photograph, pixels=pixels, provenance=provenance), target)
        return dataclasses.replace(
            record,
            status="copied" if change is None else "enhanced",
            message=made.read.doubt,
            output_bytes=target.stat().st_size,
            used_adaptors=found.used,
            width=width,
            height=height,
            tile_size=None if change is None else change.tile_side,
            seconds=round(found.seconds, 4),
            route=None if found.route is None else dataclasses.asdict(found.route),
        )

    @staticmethod
    def _records(
        outcome: Outcome[ListedPhotograph, list[PhotographRecord]], waiting: list[PhotographRecord]
    ) -> list[PhotographRecord]:
        if outcome.error is None:
            return outcome.result or []
        message = failure_message(outcome.item.path, outcome.error)
        return [dataclasses.replace(record, message=message, finished=time.time()) for record in waiting]
