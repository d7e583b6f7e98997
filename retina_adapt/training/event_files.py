"""TensorBoard's event files after a resume: each step is there once."""

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from retina_adapt.atomic_files import write_file_atomically


def discard_entries_after(folder: Path, name: str, step: int) -> None:
    """Remove from the event files in `folder` what a training logged after the step that it now resumes from.

    A run that was killed had logged steps that no checkpoint holds; it trains and logs them again. TensorBoard's own
    remedy, a restart mark, would hide the entries of all trainings in the folder.

    Args:
        name: of the training, whose tags begin with `<name>/`.
        step: entries of this step and earlier ones stay.
    """
    for file in sorted(folder.glob("events.out.tfevents.*")):
        # A file whose end a killed process has torn is read up to there.
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
