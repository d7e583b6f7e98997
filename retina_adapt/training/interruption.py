"""Stop on SIGTERM, which clusters send before they take a machine away, or Ctrl-C: finish the step, save, end."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

STOPPED_STATUS = 128 + signal.SIGTERM
# A launcher may pass on to its processes a Ctrl-C that the terminal has already sent to all of them.
SAME_REQUEST_SECONDS = 1.0


class TrainingStopped(SystemExit):
    """The end of the process once the checkpoint is written, with the signal's usual status: 143 or 130."""

    def __init__(self, status: int = STOPPED_STATUS) -> None:
        super().__init__(int(status))


class StopRequest:
    """A context in which SIGTERM and SIGINT are noted instead of ending the process.

    A SIGINT more than a second after the first signal ends it at once. Python delivers signals only to the main thread;
    in other threads, nothing changes.

    Attributes:
        is_requested: whether this process got a signal.
        status: the exit status for the process: that of the signal, or of SIGTERM if it got none.
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
