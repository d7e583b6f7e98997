"""The processes that `accelerate launch` has started, or the one there is."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

Item = TypeVar("Item")

# A process that has finished its share waits for the others, who may have days of work.
_PATIENCE = timedelta(days=30)


class Processes:
    """This process among the others.

    Args:
        device: `auto` is what accelerate finds for this process.
    """

    def __init__(self, device: str = "auto") -> None:
        self._state = PartialState(cpu=device == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=_PATIENCE)
        self.device = self._state.device if device == "auto" else torch.device(device)

    @property
    def index(self) -> int:
        return self._state.process_index

    @property
    def is_main(self) -> bool:
        return self._state.is_main_process

    def share_of(self, items: Sequence[Item]) -> list[Item]:
        """Every n-th item, for n processes; every process has to give the same ones."""
        return list(items[self.index :: self._state.num_processes])

    def wait(self) -> None:
        """Until every process has come here."""
        self._state.wait_for_everyone()
