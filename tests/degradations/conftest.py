"""A registry of a test's own."""

import pytest

from retina_adapt.degradations import registry


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_DEGRADATIONS", dict(registry._DEGRADATIONS))
    monkeypatch.setattr(registry, "_PRESETS", dict(registry._PRESETS))
    monkeypatch.setattr(registry, "_SETTLED", set())
