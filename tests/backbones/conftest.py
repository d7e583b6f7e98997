"""Every registered backbone, one after the other."""

from collections.abc import Callable

import pytest

from retina_adapt.backbones import ReconstructionBackbone, backbone_names, parts, registry

WITH_DENOISER = [name for name in backbone_names() if name != "nafnet"]


@pytest.fixture(params=backbone_names())
def backbone_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def backbone(backbone_name: str, toy_backbone_of: Callable[..., ReconstructionBackbone]) -> ReconstructionBackbone:
    """Each registered backbone at toy size, untrained and frozen."""
    return toy_backbone_of(backbone_name)


@pytest.fixture(params=WITH_DENOISER)
def diffusion_backbone(
    request: pytest.FixtureRequest, toy_backbone_of: Callable[..., ReconstructionBackbone]
) -> ReconstructionBackbone:
    """Each registered backbone that has a denoiser, at toy size, untrained and frozen."""
    return toy_backbone_of(request.param)


@pytest.fixture
def forgotten_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is not registered for the others."""
    monkeypatch.setattr(parts, "_part_classes", dict(parts._part_classes))
    monkeypatch.setattr(registry, "_builders", dict(registry._builders))
    monkeypatch.setattr(registry, "_registered_entries", set(registry._registered_entries))


@pytest.fixture
def with_denoiser() -> list[str]:
    """Names of the registered backbones that have a denoiser."""
    return WITH_DENOISER
