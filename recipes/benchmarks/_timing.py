"""How long calls take: one, or several in turns."""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import torch

Case = TypeVar("Case", bound=Hashable)


class Clock:
    """Seconds that a call takes, with all that it started on the device.

    On one thread of the CPU they are this process's processor time, which other programs do not lengthen; waiting for
    a disk is not in it. Elsewhere they are those of the clock on the wall.

    Args:
        device: of the calls.
        threads: of PyTorch on the CPU.
    """

    def __init__(self, device: str, threads: int) -> None:
        self.on_gpu = torch.device(device).type == "cuda"
        self.now = time.process_time if threads == 1 and not self.on_gpu else time.perf_counter

    def __call__(self, run: Callable[[], Any]) -> float:
        self._wait()
        started = self.now()
        run()
        self._wait()
        return self.now() - started

    def _wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()


def median_seconds(
    cases: Mapping[Case, Callable[[], Any]], clock: Clock, *, rounds: int, warm_up: bool = True
) -> dict[Case, float]:
    """Median seconds of each case; the cases take turns, so that what else the machine does touches all alike.

    Args:
        cases: what to time.
        clock: to time it with.
        rounds: how often each is timed.
        warm_up: one round before them that does not count.
    """
    seconds: dict[Case, list[float]] = {case: [] for case in cases}
    for round_number in range(rounds + warm_up):
        for case, run in cases.items():
            taken = clock(run)
            if round_number >= warm_up:
                seconds[case].append(taken)
    return {case: statistics.median(values) for case, values in seconds.items()}
