"""A small untrained router, and metadata, for the tests of routing."""

import numpy as np
import pytest
import torch

from retina_adapt.imaging import Photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus
from retina_adapt.routing import Router, RouterMetadata, RouterSettings, build_network


@pytest.fixture
def metadata() -> RouterMetadata:
    return RouterMetadata(
        data_sets=["drawn photographs (no licence needed)"],
        presets=["light", "haze"],
        severity=[0.4, 1.0],
        photographs_seen=4,
        training_steps=3,
        seed=0,
        recipe="a test",
        metrics={"accuracy": 0.5},
        protocol="made up",
        license="Apache-2.0",
        intended_use="testing",
    )


@pytest.fixture
def router() -> Router:
    """Frames of 64 px; always with the same weights."""
    settings = RouterSettings(prepared_size=96, image_size=64, channels=(4, 4, 4, 4, 4), hidden_features=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(settings)
    return Router(network.eval().requires_grad_(False), settings)


@pytest.fixture
def photograph() -> Photograph:
    """A drawn fundus in a frame of 150 x 210, off the centre."""
    return Photograph(np.pad(draw_fundus(3, 150)[0], ((0, 0), (17, 43), (0, 0))).astype(np.float32))
