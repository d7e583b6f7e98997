"""Run the network on overlapping tiles of a larger copy, for detail that its frame of the whole eye does not show.

A tile knows nothing of the rest of the eye: to normalisation over the tile and to the adaptors' wide context, a bright
disc or a dark shade is all there is, so the brightness and colour of its result drift from tile to tile. They are taken
from the global pass instead: only what is finer than a crossover is used of a tile's change, and only what is coarser
of the global one. Tiles then agree before they are blended, and no seams arise.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from retina_adapt.enhancement.detail import SmallChange, smooth

# Standard deviation, in pixels of the backbone's frame, of the Gaussian that divides coarse from fine.
CROSSOVER = 2.0
_OVERLAP = 0.25  # of a tile's side, with each neighbour


@dataclass(frozen=True)
class Tile:
    """A square within a square: first row, first column, side."""

    top: int
    left: int
    side: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.side)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.side)


def lay_tiles(side: int, tile_side: int, mask: np.ndarray) -> list[Tile]:
    """Tiles that overlap by at least a quarter and cover every True pixel of the mask, bool (side, side).

    Raises:
        ValueError: a tile is larger than the square.
    """
    if tile_side > side:
        raise ValueError(f"tiles of {tile_side} px do not fit in a square of {side} px")
    count = 1 + int(np.ceil((side - tile_side) / (tile_side * (1 - _OVERLAP))))
    starts = np.linspace(0, side - tile_side, count).round().astype(int).tolist()
    tiles = [Tile(top, left, tile_side) for top in starts for left in starts]
    return [tile for tile in tiles if mask[tile.rows, tile.columns].any()]


def blend_window(tile_side: int) -> np.ndarray:
    """Weights of a tile's pixels, float32 (tile_side, tile_side, 1): 1 inside, falling smoothly to almost 0."""
    ramp = max(1, round(tile_side * _OVERLAP))
    distance = np.minimum(np.arange(tile_side), np.arange(tile_side)[::-1]) + 0.5
    along = np.sin(np.pi / 2 * (distance / ramp).clip(0, 1)) ** 2
    return (along[:, None] * along[None, :]).astype(np.float32)[:, :, None]


def tiled_change(
    working: np.ndarray,
    mask: np.ndarray,
    frame_change: SmallChange,
    change_of_tiles: Callable[[np.ndarray, Sequence[int]], np.ndarray],
    *,
    tile_side: int,
    batch_size: int,
) -> np.ndarray:
    """The change of the working copy: what is coarse from the frame's change, what is fine from tiles.

    Args:
        working: the copy, float32 (n, n, C) in [0, 1].
        mask: its field of view, bool (n, n); tiles outside it are left out.
        frame_change: what the network changed in its frame of the whole eye.
        change_of_tiles: takes tiles (batch, t, t, C) and their numbers, and returns the network's changes of them, the
            same shape.

    Returns:
        float32 (n, n, C).
    """
    side = working.shape[0]
    deviation = CROSSOVER * side / frame_change.low.shape[0]
    total = np.zeros(working.shape, dtype=np.float32)
    weight = np.zeros((side, side, 1), dtype=np.float32)
    window = blend_window(tile_side)
    for first, tiles in _batches(lay_tiles(side, tile_side, mask), batch_size):
        pixels = np.stack([working[tile.rows, tile.columns] for tile in tiles])
        changes = change_of_tiles(pixels, range(first, first + len(tiles)))
        for tile, tile_pixels, change in zip(tiles, pixels, changes, strict=True):
            coarse = frame_change.at_rows(tile_pixels, side, tile.top, tile.top + tile.side, tile.columns)
            corrected = change - smooth(change - coarse, deviation)
            total[tile.rows, tile.columns] += window * corrected
            weight[tile.rows, tile.columns] += window
    return total / np.maximum(weight, np.finfo(np.float32).tiny)


def _batches(tiles: list[Tile], size: int) -> Iterator[tuple[int, list[Tile]]]:
    for first in range(0, len(tiles), size):
        yield first, tiles[first : first + size]


def seam_ratio(change: np.ndarray, tiles: Sequence[Tile], mask: np.ndarray) -> float:
    """How much rougher a change is across the borders of tiles than elsewhere: 1 without seams.

    The mean absolute second difference across each border within the mask, divided by that of all places in the mask,
    rows and columns together.

    Args:
        change: (n, n, C), the tiles' square.
        mask: bool (n, n).
    """
    at_borders, everywhere = [], []
    for turned, inside, borders in (
        (change, mask, {edge for tile in tiles for edge in (tile.top, tile.top + tile.side)}),
        (
            change.transpose(1, 0, 2),
            mask.T,
            {edge for tile in tiles for edge in (tile.left, tile.left + tile.side)},
        ),
    ):
        roughness = np.abs(turned[2:] - 2 * turned[1:-1] + turned[:-2]).mean(axis=2)
        counted = inside[2:] & inside[1:-1] & inside[:-2]
        # A border lies between two rows: the second differences centred on either cross it.
        rows = sorted({row - 1 for edge in borders for row in (edge - 1, edge) if 1 <= row < len(change) - 1})
        at_borders.append(roughness[rows][counted[rows]])
        everywhere.append(roughness[counted])
    return float(np.concatenate(at_borders).mean() / np.concatenate(everywhere).mean())
