"""SIGTERM, which clusters send before they take a machine away, and Ctrl-C: finish the step, keep a checkpoint, end."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

STOPPED_STATUS = 128 + signal.SIGTERM
# A launcher may hand on to its processes the Ctrl-C that the terminal has sent to all of them already.
SAME_REQUEST_SECONDS = 1.0


class TrainingStopped(SystemExit):
    """Ends the process after the checkpoint is written, with the status of the signal's own action: 143, or 130."""

    def __init__(self, status: int = STOPPED_STATUS) -> None:
        super().__init__(int(status))


class StopRequest:
    """Within its context SIGTERM and the first SIGINT are noted instead of ending the process.

    A later SIGINT ends it at once. Python hands signals to the main thread only; in another one nothing is changed.

    Attributes:
        is_requested: whether this process got a signal.
        status: that the process should end with; of a process that got no signal, that of SIGTERM.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self.status = STOPPED_STATUS
        self._requested = 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.is_requested and number == signal.SIGINT and now - self._requested > SAME_REQUEST_SECONDS:
            raise KeyboardInterrupt
        if not self.is_requested:
            self.is_requested, self.status, self._requested = True, 128 + number, now
