"""Reading writes nothing to standard error, wherever it happens: logs are not for libraries' remarks."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from retina_adapt.imaging import Photograph, write_photograph

# In a process of its own, since pytest has filters of its own.
READ = "import sys; from retina_adapt.imaging import read_photograph; read_photograph(sys.argv[1])"
# Pillow's limit, lowered so that a small file is above it.
WITH_LOW_LIMIT = "from PIL import Image; Image.MAX_IMAGE_PIXELS = 4000; "


def said(*command: str) -> str:
    return subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True).stderr


def test_of_a_large_photograph(tmp_path: Path) -> None:
    write_photograph(Photograph(np.zeros((70, 70, 3), np.float32)), tmp_path / "large.png")
    assert said("-c", WITH_LOW_LIMIT + READ, str(tmp_path / "large.png")) == ""
    # Pillow does warn of it, and a program that asks for warnings gets them.
    assert "DecompressionBombWarning" in said("-W", "always", "-c", WITH_LOW_LIMIT + READ, str(tmp_path / "large.png"))
