"""Fixtures shared by all rooms."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real photographs (see docs/corpus.md), beside the checkout; skips the test where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the corpus of real photographs is not at {folder}; docs/corpus.md tells how to lay it out")
    return folder
