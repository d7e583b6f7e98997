"""SIGTERM, which clusters send before they take a machine away: finish the step, keep a checkpoint, end."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

STOPPED_STATUS = 128 + signal.SIGTERM


class TrainingStopped(SystemExit):
    """Ends the process with status 143, as SIGTERM's own action would, after the checkpoint is written."""

    def __init__(self) -> None:
        super().__init__(int(STOPPED_STATUS))


class StopRequest:
    """Within its context SIGTERM is noted instead of ending the process.

    Python hands signals to the main thread only; in another one nothing is changed.
    """

    def __init__(self) -> None:
        self.is_requested = False

    def __enter__(self) -> Self:
        self._in_charge = threading.current_thread() is threading.main_thread()
        if self._in_charge:
            self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._in_charge:
            signal.signal(signal.SIGTERM, self._previous)

    def _note(self, _: int, __: FrameType | None) -> None:
        self.is_requested = True
