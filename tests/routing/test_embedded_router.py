"""The router that the package ships: small, complete, and on real photographs as its card says."""

from pathlib import Path

import pytest

from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.embedded import router_folder
from retina_adapt.imaging import Photograph, find_field_of_view, find_photographs, read_photograph
from retina_adapt.routing import CLASSES, load_router, read_router_metadata

FAULTS = CLASSES[1:]


def test_it_is_whole_and_takes_less_than_a_megabyte() -> None:
    router = load_router(router_folder())
    assert set(router.settings.adaptors) == set(FAULTS)
    assert sum(path.stat().st_size for path in router_folder().iterdir()) < 1e6
    assert any("CSDI" in data_set for data_set in read_router_metadata(router_folder()).data_sets)
    assert f"{router.settings.clear_threshold:.4f}" in (router_folder() / "README.md").read_text()


@pytest.mark.corpus
@pytest.mark.parametrize("data_set", ["hrf", "chase_db1"])
def test_clear_photographs_of_the_corpus_get_no_adaptor(corpus: Path, data_set: str) -> None:
    router = load_router(router_folder())
    for path in find_photographs(corpus / data_set / "validation"):
        assert router.route(read_photograph(path), FAULTS).adaptor is None, path.name


@pytest.mark.corpus
@pytest.mark.parametrize("fault", ["blur", "spots", "haze"])
def test_a_strong_fault_gets_its_adaptor(corpus: Path, fault: str) -> None:
    router = load_router(router_folder())
    for path in find_photographs(corpus / "hrf" / "validation")[:3]:
        pixels = read_photograph(path).pixels
        mask = find_field_of_view(pixels, name=path.name).mask
        degraded = apply_degradation(pixels, mask, draw_degradation(fault, seed=3, severity=0.9))
        route = router.route(Photograph(degraded), FAULTS)
        assert (route.adaptor, route.severity > 0.5) == (fault, True), path.name
