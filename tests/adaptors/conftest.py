"""Backbones as if trained, for adaptors."""

from collections.abc import Callable

import pytest
import torch

from retina_adapt.backbones import ReconstructionBackbone


@pytest.fixture(scope="session")
def trained_backbone_of(
    toy_backbone_of: Callable[..., ReconstructionBackbone],
) -> Callable[[str], ReconstructionBackbone]:
    """`trained_backbone_of(name)`: a registered backbone at toy size whose blocks all do something, as if trained."""

    def backbone_of(name: str) -> ReconstructionBackbone:
        backbone = toy_backbone_of(name)
        generator = torch.Generator().manual_seed(3)
        for parameter in backbone.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
        return backbone

    return backbone_of


@pytest.fixture(params=["kl-unet", "isotropic-transformer"])
def backbone(
    request: pytest.FixtureRequest, trained_backbone_of: Callable[[str], ReconstructionBackbone]
) -> ReconstructionBackbone:
    """Backbones of blocks with and without normalisation, and of hook points of both layouts."""
    return trained_backbone_of(request.param)


@pytest.fixture
def small_backbone(trained_backbone_of: Callable[[str], ReconstructionBackbone]) -> ReconstructionBackbone:
    """One of them, for what does not depend on the backbone."""
    return trained_backbone_of("isotropic-transformer")
