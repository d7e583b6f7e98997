"""Fixtures shared by all rooms."""
# ruff: noqa: E402 - torch reads its environment when it is imported, hence the order below

import atexit
import os
import shutil
import tempfile

# Tests run side by side (pytest-xdist): one thread each. Set before torch is imported, and inherited by the processes
# that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
# Prepared photographs of a test run serve no other run.
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="retina_adapt_tests_")
atexit.register(shutil.rmtree, os.environ["HF_DATASETS_CACHE"], ignore_errors=True)

from pathlib import Path

import pytest
import torch

from retina_adapt.backbones import (
    AutoencoderShape,
    BackboneShape,
    DenoiserShape,
    ReconstructionBackbone,
    build_backbone,
    save_backbone,
)

TOY_SHAPE = BackboneShape(
    image_size=64,
    autoencoder=AutoencoderShape(channels=[16, 16], latent_channels=4, normalization_groups=8),
    denoiser=DenoiserShape(
        channels=[16, 16], attention=[False, False], attention_head_channels=8, normalization_groups=8
    ),
)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real photographs (see docs/corpus.md), beside the checkout; skips the test where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the corpus of real photographs is not at {folder}; docs/corpus.md tells how to lay it out")
    return folder


@pytest.fixture
def toy_shape() -> BackboneShape:
    """A backbone small enough for a test: frames of 64 px, latents (4, 16, 16)."""
    return TOY_SHAPE


@pytest.fixture
def toy_backbone() -> ReconstructionBackbone:
    """An untrained toy backbone, frozen, always with the same weights."""
    torch.manual_seed(0)
    return build_backbone(TOY_SHAPE).eval().requires_grad_(False)


@pytest.fixture
def toy_backbone_folder(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    """The toy backbone on disk."""
    save_backbone(toy_backbone, tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture
def frames() -> torch.Tensor:
    """Two frames (2, 3, 64, 64) in [0, 1]."""
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
