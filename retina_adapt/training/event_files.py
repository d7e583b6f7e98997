"""Clean up TensorBoard's event files after a resume, so that no step is logged twice."""

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from retina_adapt.atomic_files import write_file_atomically


def discard_entries_after(folder: Path, name: str, step: int) -> None:
    """Remove from the event files in `folder` what a training logged after the step it resumes from.

    A killed run may have logged steps that no checkpoint holds; it trains and logs them again. TensorBoard's own
    remedy, a restart mark, would hide the entries of all trainings in the folder.

    Args:
        name: name of the training; its tags begin with `<name>/`.
        step: entries of this step and earlier ones are kept.
    """
    for file in sorted(folder.glob("events.out.tfevents.*")):
        # If a killed process has torn the end of a file, the file is read up to there.
        events = [Event.FromString(record) for record in RawEventFileLoader(str(file)).Load()]
        kept = [_without(event, f"{name}/") if event.step > step else event for event in events]
        if kept != events:
            with write_file_atomically(file) as temporary, temporary.open("wb") as stream:
                writer = RecordWriter(stream)
                for event in kept:
                    writer.write(event.SerializeToString())
                writer.flush()


def _without(event: Event, prefix: str) -> Event:
    values = [value for value in event.summary.value if not value.tag.startswith(prefix)]
    if len(values) == len(event.summary.value):
        return event
    remaining = Event(wall_time=event.wall_time, step=event.step)
    remaining.summary.value.extend(values)
    return remaining
