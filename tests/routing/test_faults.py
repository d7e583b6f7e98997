"""Which class a degraded photograph is of: what was drawn decides, not the preset's name."""

import pytest

from retina_adapt.degradations import DrawnDegradation, DrawnStep, degradation_names, draw_degradation, preset_names
from retina_adapt.routing import CLASSES, CLEAR, MIXED, NEGLIGIBLE_SEVERITY, fault_class


def drawn(*names: str, severity: float = 0.5) -> DrawnDegradation:
    return DrawnDegradation("a preset", severity, 0, tuple(DrawnStep(name, {}) for name in names))


@pytest.mark.parametrize("preset", ["light", "blur", "spots", "haze"])
def test_a_preset_of_one_kind_is_of_its_class_in_every_draw(preset: str) -> None:
    assert {fault_class(draw_degradation(preset, seed=seed)) for seed in range(20)} == {preset}


def test_the_mixed_preset_draws_single_faults_and_several() -> None:
    found = {fault_class(draw_degradation("mixed", seed=seed)) for seed in range(200)}
    assert found >= {"light", "blur", "spots", "haze", MIXED}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (("halo", "low_light"), "light"),
        (("halo", "cataract_haze"), MIXED),
        (("spots", "jpeg_compression"), "spots"),
        (("noise",), MIXED),
        (("color_shift",), MIXED),
        (("low_contrast",), MIXED),
    ],
)
def test_several_kinds_and_what_no_adaptor_of_one_kind_undoes_are_mixed(steps: tuple[str, ...], expected: str) -> None:
    assert fault_class(drawn(*steps)) == expected


def test_what_is_hardly_visible_is_clear() -> None:
    assert fault_class(drawn("cataract_haze", severity=NEGLIGIBLE_SEVERITY)) == CLEAR
    assert fault_class(drawn("cataract_haze", severity=NEGLIGIBLE_SEVERITY + 0.01)) == "haze"
    assert fault_class(drawn("jpeg_compression", severity=1.0)) == CLEAR


def test_every_registered_degradation_has_a_class() -> None:
    for name in set(degradation_names()) - {"jpeg_compression"}:
        assert fault_class(drawn(name)) in set(CLASSES) - {CLEAR}
    for preset in set(preset_names()) - {"jpeg"}:
        assert fault_class(draw_degradation(preset, seed=0)) in set(CLASSES) - {CLEAR}
