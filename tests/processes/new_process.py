"""A new process for what a test must not do in its own, without the seconds that importing torch anew would take."""

import io
import multiprocessing
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from multiprocessing.connection import Connection
from pathlib import Path

# Started by the first test that asks; with hash seed, random numbers and modules of its own, whatever tests have done.
ORIGIN = multiprocessing.get_context("forkserver")
ORIGIN.set_forkserver_preload(["retina_adapt.data", "retina_adapt.enhancement", "retina_adapt.routing"])
LONGEST_SCRIPT = 300.0  # seconds


def run_script(script: str, *arguments: object, path: Sequence[Path] = ()) -> str:
    """Run a Python script in a copy of a process that has imported the package and done nothing else.

    Args:
        script: the text.
        arguments: its `sys.argv[1:]`.
        path: folders that it imports from besides.

    Returns:
        What it printed. Where it ends with an error or does not end, the assertion fails with what was said.
    """
    receiver, sender = ORIGIN.Pipe(duplex=False)
    words = [str(argument) for argument in arguments]
    process = ORIGIN.Process(target=_run, args=(script, words, [str(folder) for folder in path], sender), daemon=True)
    process.start()
    sender.close()
    printed, said = "", "it ended before its script did"
    if receiver.poll(LONGEST_SCRIPT):
        with suppress(EOFError):
            printed, said = receiver.recv()
    else:
        said = f"its script did not end within {LONGEST_SCRIPT:.0f} s"
        process.kill()
    process.join()
    assert process.exitcode == 0, said + printed
    return printed


def _run(script: str, arguments: list[str], path: list[str], sender: Connection) -> None:
    sys.argv = ["-c", *arguments]
    sys.path[:0] = path
    printed, said = io.StringIO(), io.StringIO()
    code = 0
    try:
        with redirect_stdout(printed), redirect_stderr(said):
            exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
    except BaseException:
        said.write(traceback.format_exc())
        code = 1
    sender.send((printed.getvalue(), said.getvalue()))
    sender.close()
    sys.exit(code)
