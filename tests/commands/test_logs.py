"""Where there is no terminal, what a command writes is lines of its own, and no bar that was meant for one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def test_a_log_of_checked_pairs_holds_no_bars(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn, tmp_path / "high")
    # A process of its own: the package `datasets` asks whether bars are wanted when it is imported.
    environment = {name: text for name, text in os.environ.items() if name != "HF_DATASETS_DISABLE_PROGRESS_BARS"}
    command = [sys.executable, "-m", "retina_adapt", "check-pairs", str(drawn), str(tmp_path / "high")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr == "4 of 4 pairs agree to 0.2% of the eye's width\n"
