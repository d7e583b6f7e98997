"""`retina-adapt draw`: procedurally drawn fundus photographs, for when there are none at hand."""

from pathlib import Path

from retina_adapt.imaging import Photograph, write_photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus


def draw_photographs(output: Path, *, count: int, seed: int, size: int) -> list[Path]:
    """Write `count` drawn photographs, each `size` pixels square, with seeds from `seed` on; return their paths."""
    written = []
    for number in range(seed, seed + count):
        pixels, _, _ = draw_fundus(number, size)
        path = output / f"drawn_{number:04d}.png"
        write_photograph(Photograph(pixels), path)
        written.append(path)
    return written
