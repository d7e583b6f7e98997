"""`retina-adapt enhance --adaptor auto`: what needs nothing is copied byte for byte, the rest gets what it needs."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from toy_adaptors import METADATA
from toy_files import save_toy_adaptor

from retina_adapt.adaptors import AdaptorSettings, attach_adaptor, save_adaptor
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.commands import enhance
from retina_adapt.commands.batch import BatchResult
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.used_models import load_router_and_adaptors
from retina_adapt.embedded import backbone_folder
from retina_adapt.enhancement import Enhancer
from retina_adapt.imaging import read_photograph, write_photograph
from retina_adapt.routing import CLASSES, CLEAR, Router, RouterMetadata, load_router, save_router

FAULTS = CLASSES[1:]
CLEAR_ONE, OTHER = "clear.jpg", "other.png"


@pytest.fixture
def photographs(router: Router, tmp_path: Path) -> Path:
    """Two, of which the router holds the JPEG for the clearer one."""
    folder = tmp_path / "photographs"
    drawn = draw_photographs(folder, count=2, seed=0, size=128)
    other, clearer = sorted(drawn, key=lambda path: probability_of_clear(router, path))
    other.rename(folder / OTHER)
    # A JPEG changes when its pixels are written anew, even if none of them was changed.
    write_photograph(read_photograph(clearer), folder / CLEAR_ONE)
    clearer.unlink()
    return folder


def probability_of_clear(router: Router, path: Path) -> float:
    return router.route(read_photograph(path), FAULTS).probabilities[CLEAR]


@pytest.fixture
def adaptors(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> list[str]:
    """One adaptor a fault, each with its own change."""
    for seed, fault in enumerate(FAULTS):
        # Where a recipe leaves it: the card tells the fault, not the folder.
        folder = tmp_path / fault / "adaptor"
        save_toy_adaptor(toy_backbone, folder, seed=seed, metadata=dataclasses.replace(METADATA, name=fault))
    return [str(tmp_path / fault / "adaptor") for fault in FAULTS]


@pytest.fixture
def installed_router(
    router: Router,
    metadata: RouterMetadata,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Router:
    """In the place of the embedded one; not trained, but with its threshold between the two photographs."""
    threshold = probability_of_clear(router, photographs / CLEAR_ONE)
    assert probability_of_clear(router, photographs / OTHER) < threshold
    router = Router(router.network, dataclasses.replace(router.settings, clear_threshold=threshold))
    save_router(router, tmp_path / "router", metadata)
    monkeypatch.setattr(enhance, "router_folder", lambda: tmp_path / "router")
    return load_router(tmp_path / "router")


def run(photographs: Path, output: Path, adaptors: list[str], backbone: Path) -> BatchResult:
    return enhance.enhance_photographs(
        photographs,
        output,
        adaptors=adaptors,
        backbone=str(backbone),
        device="cpu",
        console=Console(quiet=True),
    )


def test_a_clear_photograph_keeps_every_byte_and_another_gets_what_its_adaptor_gives(
    photographs: Path, adaptors: list[str], installed_router: Router, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    result = run(photographs, tmp_path / "out", ["auto", *adaptors], toy_backbone_folder)
    assert not result.failures
    auto = tmp_path / "out" / "auto"
    assert (auto / CLEAR_ONE).read_bytes() == (photographs / CLEAR_ONE).read_bytes()

    route = installed_router.route(read_photograph(photographs / OTHER), FAULTS)
    assert route.adaptor in FAULTS
    expected = read_photograph(tmp_path / "out" / route.adaptor / OTHER).pixels
    assert np.array_equal(read_photograph(auto / OTHER).pixels, expected)
    assert not np.array_equal(read_photograph(photographs / OTHER).pixels, expected)

    routes = json.loads((auto / "routes.json").read_text())
    assert set(routes) == {CLEAR_ONE, OTHER}
    assert routes[OTHER] == dataclasses.asdict(route)
    assert (routes[CLEAR_ONE]["adaptor"], routes[CLEAR_ONE]["fault"]) == (None, CLEAR)


def test_an_adaptor_that_the_router_cannot_know_is_told(
    photographs: Path, adaptors: list[str], installed_router: Router, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    given = ["auto", *adaptors[1:], f"my_camera={adaptors[0]}"]
    result = run(photographs, tmp_path / "out", given, toy_backbone_folder)
    (told,) = result.warnings
    assert told.startswith("my_camera: auto never chooses an adaptor of this name")
    assert f"--adaptor blur={adaptors[0]}" in told


def test_beside_an_adaptor_of_another_kind_auto_does_without_the_embedded_ones(
    router: Router, metadata: RouterMetadata, tmp_path: Path
) -> None:
    enhancer = Enhancer.from_pretrained()
    settings = AdaptorSettings(kind="lora", hook_groups=["decoder"], rank=2)
    adapted = attach_adaptor(load_backbone(backbone_folder("nano")), settings.to_peft_config(), "made")
    save_adaptor(adapted, "made", tmp_path / "made", dataclasses.replace(METADATA, name="made"))
    save_router(router, tmp_path / "router", metadata)
    fingerprint = enhancer.backbone.fingerprint()

    enhancer.load_adaptor(tmp_path / "made")
    load_router_and_adaptors(tmp_path / "router", enhancer, fingerprint, "cpu")
    assert enhancer.adaptors == ["made"]
    assert enhancer.kind_of("made") == "lora"

    enhancer.delete_adaptor("made")
    load_router_and_adaptors(tmp_path / "router", enhancer, fingerprint, "cpu")
    assert set(enhancer.adaptors) == set(FAULTS)


def test_a_photograph_that_fails_is_not_among_the_routes(
    photographs: Path, adaptors: list[str], installed_router: Router, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    (photographs / "broken.png").write_bytes(b"no picture")
    result = run(photographs, tmp_path / "out", ["auto", *adaptors], toy_backbone_folder)
    assert len(result.failures) == 1
    assert "broken.png" in result.failures[0]
    assert set(json.loads((tmp_path / "out" / "auto" / "routes.json").read_text())) == {CLEAR_ONE, OTHER}
