"""Presets are as hard on real clear photographs as their severity ranges were chosen to be."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from retina_adapt.degradations import apply_degradation, draw_degradation

# Mean peak signal-to-noise ratio (dB) in the field of view at 256 pixels, over photographs and draws.
EXPECTED_RANGE = {
    "light": (14, 20),
    "haze": (15, 20),
    "spots": (20, 30),
    "blur": (28, 38),
    "mixed": (14, 24),
}


def read_square(path: Path, side: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """The photograph around its bright field, shrunk; a crude mask is enough for a mean."""
    pixels = cv2.imread(str(path))[..., ::-1].astype(np.float32) / 255
    rows, columns = np.nonzero(pixels.max(axis=2) > 0.1)
    center = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
    half = max(np.ptp(rows), np.ptp(columns)) // 2 + 1
    padded = np.pad(pixels, ((half, half), (half, half), (0, 0)))
    square = padded[center[0] : center[0] + 2 * half, center[1] : center[1] + 2 * half]
    square = np.ascontiguousarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA))
    return square, square.max(axis=2) > 0.1


@pytest.mark.corpus
@pytest.mark.parametrize("preset", EXPECTED_RANGE)
def test_the_default_severity_gives_the_intended_difficulty(corpus: Path, preset: str) -> None:
    ratios = []
    for index, path in enumerate(sorted((corpus / "hrf" / "train").glob("*.jpg"))[:6]):
        pixels, mask = read_square(path)
        for seed in range(index, 60, 6):
            degraded = apply_degradation(pixels, mask, draw_degradation(preset, seed=seed))
            ratios.append(-10 * np.log10(max(((degraded - pixels)[mask] ** 2).mean(), 1e-10)))
    lowest, highest = EXPECTED_RANGE[preset]
    assert lowest < np.mean(ratios) < highest
