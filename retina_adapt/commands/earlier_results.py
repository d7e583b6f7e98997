"""What earlier runs left in the output folder, and whether this run would make the same."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from retina_adapt.commands.journal import PhotographRecord
from retina_adapt.commands.photograph_list import OutputFolderError
from retina_adapt.commands.used_models import AUTO
from retina_adapt.imaging import ImageReadError, read_photograph, sha256_of


@dataclass(frozen=True)
class EarlierResults:
    """Results that need not be made, and results that will be replaced.

    Attributes:
        done: records of results that stay, by their `output`.
        replaced: `output` of results for the same photograph that this run would make differently: with another adaptor
            or other settings, or from a changed photograph or mask.
    """

    done: dict[str, PhotographRecord] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)


def size_and_time(path: Path) -> tuple[int, int] | None:
    """Size in bytes and modification time in ns; None for a missing file, which reading will report."""
    state = _state_of(path)
    return state and (state.st_size, state.st_mtime_ns)


def number_and_change(path: Path) -> list[int]:
    """Inode number and time of the last change of any kind in ns; empty for a missing file."""
    state = _state_of(path)
    return [] if state is None else [state.st_ino, state.st_ctime_ns]


def sort_earlier_results(
    output: Path,
    planned: Iterable[PhotographRecord],
    before: Mapping[str, PhotographRecord],
    *,
    skip_existing: bool,
) -> EarlierResults:
    """Tell which results are done already, and refuse to overwrite files that are not this run's to replace.

    Args:
        output: folder of the results.
        planned: this run's records.
        before: records of earlier runs, by their `output`.
        skip_existing: leave every existing result, whatever it was made from.

    Raises:
        OutputFolderError: a file in a result's place was made from another photograph, which still exists, or is not a
            result of this program.
    """
    found = EarlierResults()
    for record in planned:
        target = output / record.output
        if not target.is_file():
            continue
        known = before.get(record.output)
        if known is None or not known.is_done:
            if skip_existing:
                found.done[record.output] = dataclasses.replace(record, status="skipped", message="")
            elif known is None and not _is_result_of(target, record, may_be_copy=bool(before)):
                raise OutputFolderError(
                    f"{target}: is there already, no run has recorded it as the result of {record.photograph}, and it "
                    "would be overwritten; name another output folder, or give --skip-existing to leave it, "
                    "--overwrite to replace it"
                )
            continue
        of_same = _of_one_photograph(known, record)
        # With the present paths: the photograph may have been moved or renamed.
        now = dataclasses.replace(known, photograph=record.photograph, mask=record.mask)
        # A result of another size has since been cut off, by a full disk for instance, or changed.
        is_same_request = known.request == record.request and _is_unchanged(known, record)
        if of_same and is_same_request and known.output_bytes == target.stat().st_size:
            found.done[record.output] = now
        elif skip_existing:
            # A record of another photograph's result says nothing about this one.
            found.done[record.output] = dataclasses.replace(
                now if of_same else dataclasses.replace(record, message=""), status="skipped"
            )
        elif not of_same and Path(known.photograph).is_file():
            raise OutputFolderError(
                f"{target}: was made from {known.photograph}, and would be overwritten by that of "
                f"{record.photograph}; name another output folder, or give --overwrite"
            )
        elif of_same and not is_same_request:
            found.replaced.append(record.output)
    return found


def _is_result_of(target: Path, record: PhotographRecord, *, may_be_copy: bool) -> bool:
    """Whether a file that no journal knows is a result, of a run that was killed or whose journal was lost.

    A copy of the photograph counts only for `auto`, which makes such copies, and only if `may_be_copy`; otherwise it
    may be somebody's backup.
    """
    try:
        content = Path(record.photograph).read_bytes()
        if record.adaptor == AUTO and may_be_copy and target.read_bytes() == content:
            return True
        provenance = read_photograph(target).provenance
    except (OSError, ImageReadError):
        return False
    return provenance is not None and provenance.input_sha256 == sha256_of(content)


def _is_unchanged(known: PhotographRecord, record: PhotographRecord) -> bool:
    """Whether photograph and mask hold what they held; equal size and modification time alone do not prove it."""
    return (known.file_state == record.file_state or _holds(record.photograph, known.input_sha256)) and (
        known.mask_state == record.mask_state or _holds(record.mask, known.mask_sha256)
    )


def _of_one_photograph(known: PhotographRecord, record: PhotographRecord) -> bool:
    """Whether both records are of one photograph; a moved one is recognised by its content."""
    if Path(known.photograph).resolve() == Path(record.photograph).resolve():
        return True
    return _holds(record.photograph, known.input_sha256)


def _holds(file: str, sha256: str) -> bool:
    try:
        return sha256_of(Path(file).read_bytes()) == sha256
    except OSError:
        return False


def _state_of(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
