"""A drawn fundus for tests of the enhancer."""

import numpy as np

from retina_adapt.imaging.synthetic_fundus import draw_fundus


def fundus_frame() -> np.ndarray:
    """A drawn fundus in a frame of 150 x 210, off the centre."""
    return np.pad(draw_fundus(3, 150)[0], ((0, 0), (17, 43), (0, 0)))
