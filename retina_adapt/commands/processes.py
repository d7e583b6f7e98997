"""The processes that `accelerate launch` started, or the only one there is."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from retina_adapt.errors import RetinaAdaptError

Item = TypeVar("Item")

# A process that has finished its share waits for the others, which may have days of work left.
_PATIENCE = timedelta(days=30)


class DeviceError(RetinaAdaptError):
    """A device that PyTorch does not know, or that this machine lacks."""


def usable_device(name: str) -> torch.device:
    """The device of this name: `cpu`, `cuda`, `cuda:1`, `mps`, …

    Raises:
        DeviceError: nothing can be computed on it here.
    """
    try:
        device = torch.device(name)
        # A known name is not enough: the driver, the card, or PyTorch's support for it may be missing.
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        found = "cpu" if accelerator is None else f"cpu, {accelerator.type}"
        raise DeviceError(f"--device {name}: cannot be used here ({reason}); this machine has: {found}") from error
    return device


class Processes:
    """This process among the others.

    Args:
        device: `auto` is what accelerate finds for this process.

    Raises:
        DeviceError: see `usable_device`.
    """

    def __init__(self, device: str = "auto") -> None:
        self._state = PartialState(cpu=device == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=_PATIENCE)
        # After the state, which makes `cuda` mean this process's own card.
        self.device: torch.device = self._state.device if device == "auto" else usable_device(device)

    @property
    def index(self) -> int:
        return self._state.process_index

    @property
    def is_main(self) -> bool:
        return self._state.is_main_process

    def share_of(self, items: Sequence[Item]) -> list[Item]:
        """Every n-th item, for n processes; all processes must pass the same items."""
        return list(items[self.index :: self._state.num_processes])

    def wait(self) -> None:
        """Wait until every process has called this."""
        self._state.wait_for_everyone()
