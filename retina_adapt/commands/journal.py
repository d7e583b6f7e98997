"""What became of each photograph: recorded beside the results during a run, and summed up at its end.

Every process appends to a journal of its own, one line per result, so that however a run ends, even if a process dies,
the next run knows what is done.
"""

import csv
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.commands.records import recording, require_own_record, write_json_record

JOURNAL_FOLDER = ".retina_adapt"
# A pattern below the folder of results; only a run that has begun its work leaves such a file.
JOURNALS = f"{JOURNAL_FOLDER}/journal-*.jsonl"
SUMMARY_JSON, SUMMARY_CSV = "summary.json", "summary.csv"
# How the two begin, to tell them from files of other programs.
SUMMARY_BEGINS, TABLE_BEGINS = b'{\n "counts": {', b"photograph,output,adaptor,"
# Left out of the table.
_JSON_ALONE = ("route", "file_state", "mask_state")
Status = Literal["enhanced", "copied", "skipped", "failed"]


@dataclass(frozen=True)
class PhotographRecord:
    """What became of one photograph under one adaptor.

    Attributes:
        photograph: path of the file, absolute.
        output: path of the result below the output folder.
        adaptor: as asked for; `auto` leaves the choice to the router.
        status: enhanced; copied, since the router chose no adaptor; skipped, since a result was there; or failed.
        message: why it failed, or what is doubtful about it.
        used_adaptors: the adaptors that enhanced it, one after the other; empty if it was copied.
        width, height: in pixels; 0 if it could not be read.
        tile_size: side in pixels of the tiles that the network saw; None if it saw the whole frame only.
        seconds: time in the networks.
        route: the router's `Route` as plain values; None without `auto`.
        request: sha256 over size and modification time of the input file and its mask, and all else that the result
            depends on.
        file_state: inode number of the input file and time of its last change of any kind in ns, which tell it from
            another file of the same size and modification time in its place; empty if it could not be accessed.
        input_sha256: sha256 of the input file; empty if it could not be read.
        mask: absolute path of the mask's file; empty if none was given.
        mask_state, mask_sha256: the same for the mask's file.
        output_bytes: size of the result in bytes.
        finished: seconds since 1970.
    """

    photograph: str
    output: str
    adaptor: str
    status: Status
    message: str = ""
    used_adaptors: list[str] = field(default_factory=list)
    width: int = 0
    height: int = 0
    tile_size: int | None = None
    seconds: float = 0.0
    route: dict[str, Any] | None = None
    request: str = ""
    file_state: list[int] = field(default_factory=list)
    input_sha256: str = ""
    mask: str = ""
    mask_state: list[int] = field(default_factory=list)
    mask_sha256: str = ""
    output_bytes: int = 0
    finished: float = field(default_factory=time.time)

    @property
    def is_done(self) -> bool:
        return self.status in ("enhanced", "copied")


def shown_sequence(record: PhotographRecord) -> str:
    """The adaptors that enhanced a photograph, worded as in `Enhancer.active_adaptor`; "" for none."""
    return ", then ".join(record.used_adaptors)


class Journal:
    """The file that one process appends its records to."""

    def __init__(self, output: Path, process_index: int) -> None:
        self.path = output / JOURNAL_FOLDER / f"journal-{process_index:05d}.jsonl"
        # A killed process may have left half a line.
        self._starts_anew = self.path.is_file()

    def append(self, record: PhotographRecord) -> None:
        """Append a record as one line, which is complete when this returns.

        Raises:
            RecordWriteError: the file cannot be written.
        """
        with recording(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write("\n" * self._starts_anew + json.dumps(dataclasses.asdict(record)) + "\n")
        self._starts_anew = False


def read_journals(output: Path) -> dict[str, PhotographRecord]:
    """The newest record of each result, by `output`, from all processes of all runs; torn lines are skipped."""
    newest: dict[str, PhotographRecord] = {}
    for path in sorted(output.glob(JOURNALS)):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = PhotographRecord(**json.loads(line))
            except (ValueError, TypeError):
                continue
            if record.output not in newest or record.finished >= newest[record.output].finished:
                newest[record.output] = record
    return newest


def require_own_summary(output: Path) -> None:
    """Raise ForeignFileError if `summary.json` or `summary.csv` is there and is not an earlier run's."""
    require_own_record(output / SUMMARY_JSON, lambda content: content.startswith(SUMMARY_BEGINS))
    require_own_record(output / SUMMARY_CSV, lambda content: content.startswith(TABLE_BEGINS))


def write_summary(
    output: Path, records: Sequence[PhotographRecord], settings: dict[str, Any], unreachable: Sequence[str]
) -> None:
    """Write `summary.json` and `summary.csv`, one row per result.

    In both, a byte of a file name that is not valid UTF-8 becomes an escape such as `\\udcfc`.

    Args:
        unreachable: messages on places that could not be searched for photographs.

    Raises:
        RecordWriteError: one of them cannot be written.
    """
    counts = Counter(record.status for record in records)
    summary = {
        "counts": {status: counts[status] for status in ("enhanced", "copied", "skipped", "failed")},
        "settings": settings,
        "unreachable": list(unreachable),
        "photographs": [dataclasses.asdict(record) for record in records],
    }
    write_json_record(output / SUMMARY_JSON, summary)
    columns = [field.name for field in dataclasses.fields(PhotographRecord) if field.name not in _JSON_ALONE]
    table = output / SUMMARY_CSV
    with (
        recording(table),
        write_file_atomically(table) as temporary,
        # With the raw bytes of such a name, other programs would refuse the whole file.
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(record) | {"used_adaptors": shown_sequence(record)} for record in records)
