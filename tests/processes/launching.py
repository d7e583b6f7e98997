"""Programs that start processes of their own, as launchers do."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

LONGEST_PROGRAM = 400.0  # seconds


def run_program(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its status, with these variables besides; its output as text.

    Where it does not end, it is killed with all that it has started, which would otherwise keep its pipes open and be
    waited for, and the assertion fails with what was printed.
    """
    program = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, said = program.communicate(timeout=LONGEST_PROGRAM)
    except BaseException as error:
        os.killpg(program.pid, signal.SIGKILL)
        printed, said = program.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise AssertionError(f"it did not end within {LONGEST_PROGRAM:.0f} s\n{said}{printed}") from error
    return subprocess.CompletedProcess(command, program.returncode, printed, said)
