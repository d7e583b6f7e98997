"""Find photographs that a collection holds twice, under different names or at different sizes or compression."""

from collections.abc import Iterable

import imagehash
import numpy as np
from PIL import Image

from retina_adapt.data.preparation import PreparedPhotograph

# The 16 x 16 lowest frequencies: with the usual 8 x 8, different eyes are as close as copies of one eye.
_HASH_SIDE = 16
# Measured on 234 photographs of three collections (800 px high): different eyes lie at least 42 bits apart, copies at
# half the size and JPEG quality 75 at most 38. Copies at a third of the size and quality 50 are not all found: 27 of
# the 234 lie more than 40 bits away.
_LARGEST_DISTANCE = 40


def find_duplicates(photographs: Iterable[PreparedPhotograph]) -> list[list[int]]:
    """Group photographs that look the same, by perceptual hash (`imagehash.phash`, 256 bits).

    Photographs must be prepared: the black surround, alike in all photographs of a camera, would drown the differences
    between eyes. 256 pixels a side are enough. Mirrored or rotated copies are not found.

    Args:
        photographs: for example `PreparedPhotographs(dataset, 256)`.

    Returns:
        The positions of each group's photographs, in order; at least two per group.
    """
    hashes = np.array([_hash(photograph.image) for photograph in photographs])
    group_of = np.arange(len(hashes))
    for position in range(len(hashes)):
        distances = np.count_nonzero(hashes[position + 1 :] != hashes[position], axis=1)
        for other in position + 1 + np.flatnonzero(distances <= _LARGEST_DISTANCE):
            group_of[group_of == group_of[other]] = group_of[position]
    groups = [np.flatnonzero(group_of == group).tolist() for group in np.unique(group_of)]
    return sorted(group for group in groups if len(group) > 1)


def _hash(image: np.ndarray) -> np.ndarray:
    grey = Image.fromarray(np.rint(image.mean(axis=2) * 255).astype(np.uint8))
    return imagehash.phash(grey, hash_size=_HASH_SIDE).hash.ravel()
