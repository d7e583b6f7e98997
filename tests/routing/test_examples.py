"""Training examples: functions of a photograph and a draw, with labels that fit what was done."""

from pathlib import Path

import numpy as np
import pytest
import torch

from retina_adapt.commands.draw import draw_photographs
from retina_adapt.data import Draw, PreparedPhotograph, PreparedPhotographs, load_images
from retina_adapt.degradations import SeverityError, UnknownPresetError
from retina_adapt.imaging.synthetic_fundus import draw_fundus
from retina_adapt.routing import (
    CLASSES,
    CLEAR,
    NEGLIGIBLE_SEVERITY,
    CameraVariation,
    DrawExample,
    RouterSettingsError,
    RoutingExamples,
)

PRESETS = ("light", "blur", "spots", "haze", "mixed")


@pytest.fixture(scope="module")
def prepared() -> PreparedPhotograph:
    pixels, mask, _ = draw_fundus(0, 96)
    return PreparedPhotograph(pixels.astype(np.float32), mask.astype(bool))


def test_the_same_draw_gives_the_same_example_and_another_another(prepared: PreparedPhotograph) -> None:
    draw_example = DrawExample(64, PRESETS, severity=(0.3, 1.0), variation=CameraVariation())
    first, again, other = (draw_example(prepared, Draw(0, seed)) for seed in (5, 5, 6))
    assert first["image"].shape == (3, 64, 64)
    assert 0 <= first["image"].min() <= first["image"].max() <= 1
    for key, value in first.items():
        assert torch.equal(value, again[key]), key
    assert not torch.equal(first["image"], other["image"])


def test_labels_and_severities_fit_what_was_drawn(prepared: PreparedPhotograph) -> None:
    draw_example = DrawExample(64, PRESETS, clear_share=0.5, severity=(0.3, 1.0))
    clear = DrawExample(64, clear_share=1.0)(prepared, Draw(0, 0))["image"]
    drawn = [draw_example.draw(seed) for seed in range(300)]
    degraded = [found for found in drawn if found is not None and found.severity > NEGLIGIBLE_SEVERITY]
    negligible = [found for found in drawn if found is not None and found.severity <= NEGLIGIBLE_SEVERITY]
    assert 0.4 < len(degraded) / 300 < 0.6
    assert 0.1 < len(negligible) / 300 < 0.25
    assert all(0.3 <= found.severity <= 1.0 for found in degraded)
    for seed, found in enumerate(drawn[:20]):
        item = draw_example(prepared, Draw(0, seed))
        label = CLASSES[int(item["label"])]
        assert (label == CLEAR) == (found is None or found.severity <= NEGLIGIBLE_SEVERITY)
        assert float(item["severity"]) == pytest.approx(0.0 if found is None else found.severity)
        if found is None:
            assert torch.equal(item["image"], clear)
        elif label != CLEAR:
            assert not torch.equal(item["image"], clear)


def test_without_a_severity_the_preset_s_own_range_counts() -> None:
    severities = [DrawExample(64, ("spots",)).draw(seed).severity for seed in range(50)]
    assert 0.6 <= min(severities) < max(severities) <= 1.0


def test_without_presets_all_is_clear_and_without_variation_as_it_is(prepared: PreparedPhotograph) -> None:
    item = DrawExample(96, clear_share=1.0)(prepared, Draw(0, 3))
    assert CLASSES[int(item["label"])] == CLEAR
    assert np.array_equal(item["image"].permute(1, 2, 0).numpy(), prepared.image)


def test_a_grey_photograph_becomes_three_equal_channels(prepared: PreparedPhotograph) -> None:
    grey = PreparedPhotograph(prepared.image[..., 1:2], prepared.mask)
    image = DrawExample(64, clear_share=1.0)(grey, Draw(0, 0))["image"]
    assert image.shape == (3, 64, 64)
    assert torch.equal(image[0], image[2])


def test_variation_depends_on_the_seed_alone_and_stays_in_range(prepared: PreparedPhotograph) -> None:
    variation = CameraVariation()
    for seed in range(20):
        changed = variation.change_tone(prepared.image, seed)
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 1
        part = variation.cut(prepared.image, seed)
        assert part.shape[0] == part.shape[1]
        assert 0.85 * 96 - 1 <= part.shape[0] <= 96
        assert np.array_equal(part, variation.cut(prepared.image, seed))


def test_mistakes_are_refused_at_construction() -> None:
    with pytest.raises(RouterSettingsError, match="clear_share is"):
        DrawExample(64, PRESETS, clear_share=1.5)
    with pytest.raises(RouterSettingsError, match="give presets"):
        DrawExample(64)
    with pytest.raises(UnknownPresetError, match="haze"):
        DrawExample(64, ("haez",))
    with pytest.raises(SeverityError):
        DrawExample(64, ("haze",), severity=(0.2, 1.2))


def test_a_data_set_of_examples_follows_its_draws(tmp_path: Path) -> None:
    draw_photographs(tmp_path / "photographs" / "train", count=2, seed=0, size=96)
    photographs = PreparedPhotographs(load_images(str(tmp_path / "photographs"), split="train"), 96)
    examples = RoutingExamples(photographs, DrawExample(64, PRESETS))
    assert len(examples) == 2
    item = examples[Draw(1, 7)]
    assert (int(item["index"]), int(item["seed"])) == (1, 7)
    assert torch.equal(item["image"], DrawExample(64, PRESETS)(photographs[1], Draw(1, 7))["image"])
