"""`retina-adapt degrade`: simulate faults on clear photographs, and record what was drawn."""

import dataclasses
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console

from retina_adapt.commands.batch import BatchResult, batch_progress, failure_message
from retina_adapt.commands.photograph_list import OutputFolderError, list_photographs, make_output_folder
from retina_adapt.commands.records import write_json_record
from retina_adapt.degradations import DegradationRecordError, DrawnDegradation, apply_degradation, draw_degradation
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import (
    FieldOfViewShape,
    SquareCrop,
    find_field_of_view,
    read_photograph,
    require_compact,
    write_photograph,
)

RECORD_FILE = "degradations.json"
DEFAULT_PRESET = "mixed"


class ReplayError(RetinaAdaptError):
    """A record of drawn degradations that cannot be read, lacks a photograph, or came with options for new draws."""


def degrade_photographs(
    source: Path,
    output: Path,
    *,
    preset: str | None = None,
    seed: int | None = None,
    severity: float | None = None,
    replay: Path | None = None,
    field_of_view: FieldOfViewShape,
    console: Console,
) -> BatchResult:
    """Degrade each photograph by a draw of its own, which depends only on the options and its path in `source`.

    Args:
        preset: what to simulate; `DEFAULT_PRESET` by default.
        seed: seed of the draws; 0 by default.
        severity: in [0, 1]; drawn for each photograph by default.
        replay: an earlier run's `degradations.json`, to apply again instead of drawing.

    Returns:
        What was written; `degradations.json` in the output folder records every draw.

    Raises:
        UnknownPresetError, SeverityError, ReplayError, OutputFolderError, ImageReadError: before any photograph is
            degraded.
        RecordWriteError: `degradations.json` cannot be written.
    """
    if replay is not None and not (preset is None and seed is None and severity is None):
        raise ReplayError(f"{replay}: is applied as it was recorded; leave out --preset, --seed and --severity")
    preset, seed = preset or DEFAULT_PRESET, seed or 0
    draw_degradation(preset, seed=seed, severity=severity)
    recorded = None if replay is None else _read_record(replay)
    # Draws of earlier runs into the output folder stay in its record, so that they can be replayed too.
    present = _read_record(output / RECORD_FILE) if (output / RECORD_FILE).is_file() else {}
    found = list_photographs([source], output, RECORD_FILE)
    names = [listed.relative.as_posix() for listed in found.photographs]
    _require_replaceable(output, names, present)
    if recorded is None:
        # A file name may not be valid UTF-8, so its bytes are hashed.
        keys = {name: zlib.crc32(f"{seed}/{name}".encode(errors="surrogateescape")) for name in names}
        draws = {name: draw_degradation(preset, seed=key, severity=severity) for name, key in keys.items()}
    else:
        draws = {name: recorded[name] for name in names if name in recorded}
    make_output_folder(output)
    # Written first: if the process is killed, the next run recognises its results by this record.
    _write_record(output, draws | present)
    result, done = BatchResult(), dict(present)
    try:
        with batch_progress(console) as progress:
            for listed in progress.track(found.photographs, description="Degrading"):
                name = listed.relative.as_posix()
                try:
                    if name not in draws:
                        raise ReplayError(
                            f"{listed.path}: {replay} holds no draw for '{name}'; was it recorded from this folder?"
                        )
                    _degrade(listed.path, output / name, draws[name], field_of_view)
                except Exception as error:
                    result.failures.append(failure_message(listed.path, error))
                else:
                    done[name] = draws[name]
                    result.written.append(output / name)
    finally:
        # Even of an interrupted run: what it has degraded can then be replayed.
        _write_record(output, done)
    result.failures += found.unreachable
    result.warnings += filter(None, [found.left_alone])
    return result


def _degrade(path: Path, target: Path, drawn: DrawnDegradation, field_of_view: FieldOfViewShape) -> None:
    photograph = read_photograph(path)
    found = find_field_of_view(
        photograph.pixels, name=str(path), field_of_view=field_of_view, transparent=photograph.transparent
    )
    crop = SquareCrop.around(found)
    require_compact(crop, str(path))
    degraded = apply_degradation(crop.extract(photograph.pixels), crop.extract_mask(crop.mask), drawn)
    pixels = crop.restore(degraded, onto=photograph.pixels)
    write_photograph(dataclasses.replace(photograph, pixels=pixels, provenance=None), target)


def _write_record(output: Path, drawn: Mapping[str, DrawnDegradation]) -> None:
    write_json_record(output / RECORD_FILE, {name: draw.to_dict() for name, draw in drawn.items()})


def _require_replaceable(output: Path, names: Iterable[str], present: Mapping[str, DrawnDegradation]) -> None:
    """Refuse to overwrite what no earlier run has recorded, such as the other half of a folder of pairs."""
    for name in names:
        target = output / name
        if target.exists() and name not in present:
            raise OutputFolderError(
                f"{target}: is there already, is not recorded in {output / RECORD_FILE}, and would be overwritten; "
                "name another output folder, or move it away"
            )


def _read_record(path: Path) -> dict[str, DrawnDegradation]:
    if not path.is_file():
        raise ReplayError(f"{path}: no such file; give the {RECORD_FILE} of an earlier run's output folder")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {name: DrawnDegradation.from_dict(drawn) for name, drawn in record.items()}
    except (OSError, ValueError, AttributeError, TypeError, DegradationRecordError) as error:
        raise ReplayError(
            f"{path}: cannot be read as a record of degradations ({error}); give the {RECORD_FILE} of an earlier run's "
            "output folder, or remove this file if it is in the way"
        ) from error
