"""Two forked processes over gloo, for the tests of this room."""

from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator, debug_launcher
from accelerate.state import AcceleratorState, GradientState


def on_two_processes(function: Callable[[Accelerator], None], folder: Path, *, mixed_precision: str = "no") -> None:
    """Run `function` on each of two forked processes; an error of either is raised here."""

    def start() -> None:
        # A fork inherits what earlier tests have set up for one process.
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        accelerator = Accelerator(cpu=True, mixed_precision=mixed_precision, log_with="tensorboard", project_dir=folder)
        assert accelerator.num_processes == 2
        function(accelerator)

    debug_launcher(start, num_processes=2)
