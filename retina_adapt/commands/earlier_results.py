"""What an earlier run left in the output folder, and whether it is what this one would make."""

from collections.abc import Mapping
from pathlib import Path

from retina_adapt.commands.journal import PhotographRecord, Status
from retina_adapt.commands.photograph_list import OutputFolderError
from retina_adapt.imaging import ImageReadError, read_photograph, sha256_of


def status_before(
    output: Path, record: PhotographRecord, before: Mapping[str, PhotographRecord], *, skip_existing: bool
) -> Status | None:
    """The status of a result that is there already; None if there is work to do.

    What lies in a result's place is replaced only where it is known for the result of the same photograph.

    Args:
        output: folder of the results.
        record: of what this run plans.
        before: what earlier runs have recorded, by `output` of the records.
        skip_existing: leave every result that is there, whatever it was made from.

    Raises:
        OutputFolderError: it is that of another photograph, which still exists, or no result of this program.
    """
    target = output / record.output
    if not target.is_file():
        return None
    known = before.get(record.output)
    if known is None or not known.is_done:
        if known is None and not skip_existing and not _is_own_result(target, Path(record.photograph)):
            raise OutputFolderError(
                f"{target}: is there already, is no result of this program, and would be overwritten; name another "
                "output folder, or give --skip-existing to leave it, --overwrite to replace it"
            )
        return "skipped" if skip_existing else None
    if of_one_photograph(known, record):
        # A result of another size was cut off since, by a full disk for instance, or changed.
        if known.request == record.request and known.output_bytes == target.stat().st_size:
            return known.status
    elif Path(known.photograph).is_file() and not skip_existing:
        raise OutputFolderError(
            f"{target}: was made from {known.photograph}, and would be overwritten by that of "
            f"{record.photograph}; name another output folder, or give --overwrite"
        )
    return "skipped" if skip_existing else None


def _is_own_result(target: Path, photograph: Path) -> bool:
    """Whether a file that no journal knows is a result, of a run that was killed or whose journal was lost."""
    try:
        if target.stat().st_size == photograph.stat().st_size and target.read_bytes() == photograph.read_bytes():
            # Copied by `auto`.
            return True
        return read_photograph(target).provenance is not None
    except (OSError, ImageReadError):
        return False


def of_one_photograph(known: PhotographRecord, record: PhotographRecord) -> bool:
    """Whether both are of one file; one that was moved is known by what it holds."""
    if Path(known.photograph).resolve() == Path(record.photograph).resolve():
        return True
    try:
        return known.input_sha256 == sha256_of(Path(record.photograph).read_bytes())
    except OSError:
        return False
