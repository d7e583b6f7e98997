"""Fill what lies outside a field of view with mirrored tissue.

Each pixel outside is mirrored at the nearest pixel of the field of view and takes the value found there. The same rule
serves a circle, a circle cut off by the sensor, any mask given by the user, and a full frame, where it is the usual
border reflection.
"""

import cv2
import numpy as np


def mirror_places(inside: np.ndarray, reach: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Find which pixels of a square to fill, and from which pixel each takes its value.

    Args:
        inside: field of view, bool (S, S), not empty.
        reach: fill only what lies within this many pixels of the field of view; None fills everything.

    Returns:
        Two arrays (N,) of positions in the flattened square: the pixels to fill, and their sources.
    """
    side = inside.shape[0]
    outside = (~inside).view(np.uint8)
    # Each inside pixel has distance zero and a label of its own, so an outside pixel's label names the inside pixel
    # nearest to it. That one always has an outside neighbour: only such pixels are looked up.
    distance, labels = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = labels.reshape(-1)
    rim = np.flatnonzero(cv2.dilate(outside, np.ones((3, 3), dtype=np.uint8)).view(bool) & inside)
    place_of_label = np.zeros(inside.size - np.count_nonzero(outside) + 1, dtype=np.intp)
    place_of_label[labels[rim]] = rim

    filled = np.flatnonzero(outside if reach is None else (distance > 0) & (distance <= reach))
    nearest = place_of_label[labels[filled]]
    mirrored = 2 * nearest - filled
    rows = 2 * (nearest // side) - filled // side
    columns = mirrored - rows * side
    within = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    # Mirroring may overshoot a narrow field of view on its other side: such pixels repeat the rim instead.
    within[within] = inside.reshape(-1)[mirrored[within]]
    return filled, np.where(within, mirrored, nearest)


def fill_places(square: np.ndarray, filled: np.ndarray, sources: np.ndarray) -> None:
    """Fill pixels of a contiguous square (S, S, C) in place, from the positions that `mirror_places` returned."""
    # Each pixel is viewed as a single item, to be copied in one piece instead of channel by channel.
    pixels = square.view(np.dtype((np.void, square.itemsize * square.shape[2]))).reshape(-1)
    pixels[filled] = pixels[sources]
