"""Photographs, enhanced ones, and a browser."""

from collections.abc import Iterator

import numpy as np
import pytest
from browser import headless_browser, require_browser

from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.fixture(scope="session")
def fundus() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A drawn eye of 400 px: pixels, vessels, field of view."""
    return draw_fundus(5, 400)


@pytest.fixture(scope="session")
def other_fundus() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Another eye, whose vessels lie elsewhere."""
    return draw_fundus(11, 400)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """A headless Chromium; skips where none is installed."""
    require_browser()
    with headless_browser() as driver:
        yield driver
