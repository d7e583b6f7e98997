"""Quality measures rank photographs as a reader would."""

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import spearmanr

from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.imaging import find_field_of_view, read_photograph, resize, resize_mask
from retina_adapt.report import MEASURED_DIAMETER, measure_quality, measured_frame


def test_a_field_of_view_is_brought_to_one_diameter_and_never_enlarged():
    mask = np.zeros((1200, 1400), bool)
    cv2.circle(canvas := mask.astype(np.uint8), (700, 600), 550, 1, -1)
    pixels, scaled = measured_frame(np.zeros((1200, 1400, 3), np.float32), canvas.astype(bool))
    assert 2 * np.sqrt(scaled.sum() / np.pi) == pytest.approx(MEASURED_DIAMETER, rel=0.01)
    assert pixels.shape[:2] == scaled.shape
    small = np.ones((50, 60), bool)
    assert measured_frame(np.zeros((50, 60, 3), np.float32), small)[1].shape == (50, 60)


def test_blur_lowers_sharpness_and_only_that(fundus):
    pixels, _, mask = fundus
    qualities = [measure_quality(cv2.GaussianBlur(pixels, (0, 0), s) if s else pixels, mask) for s in (0, 1, 2, 4)]
    assert all(a.sharpness > 1.1 * b.sharpness for a, b in pairwise(qualities))
    assert qualities[-1].brightness == pytest.approx(qualities[0].brightness, abs=0.02)


def test_a_shadow_lowers_evenness(fundus):
    pixels, _, mask = fundus
    shadow = np.linspace(0.3, 1, pixels.shape[1], dtype=np.float32)[None, :, None]
    assert measure_quality(pixels * shadow, mask).evenness < measure_quality(pixels, mask).evenness - 0.1


def test_overexposure_is_clipped_and_brighter(fundus):
    pixels, _, mask = fundus
    before, after = (measure_quality(np.clip(pixels * gain, 0, 1), mask) for gain in (1, 3))
    assert after.clipped > before.clipped + 0.3
    assert after.brightness > before.brightness


def test_the_surround_plays_no_part(fundus):
    pixels, _, mask = fundus
    framed = np.where(mask[:, :, None], pixels, np.float32(0.7))
    black = np.where(mask[:, :, None], pixels, np.float32(0))
    assert measure_quality(framed, mask) == measure_quality(black, mask)


@pytest.mark.parametrize("preset", ["blur", "haze"])
def test_a_degraded_photograph_is_less_sharp(fundus, preset):
    pixels, _, mask = fundus
    degraded = apply_degradation(pixels, mask, draw_degradation(preset, seed=1))
    assert measure_quality(degraded, mask).sharpness < 0.8 * measure_quality(pixels, mask).sharpness


@pytest.mark.corpus
def test_sharpness_follows_experts_scores_of_cataract(corpus: Path):
    rows = [json.loads(line) for line in (corpus / "csdi" / "validation" / "metadata.jsonl").open()]
    sharpness = []
    for row in rows:
        pixels = read_photograph(corpus / "csdi" / "validation" / row["file_name"]).pixels
        mask = find_field_of_view(pixels, name=row["file_name"]).mask
        sharpness.append(measure_quality(*measured_frame(pixels, mask)).sharpness)
    assert spearmanr(sharpness, [row["cataract_score"] for row in rows]).statistic < -0.8


def test_a_grey_photograph_is_measured_too(fundus):
    pixels, _, mask = fundus
    grey = resize(pixels[..., 1:2], 200, 200)
    assert measure_quality(grey, resize_mask(mask, 200, 200)).sharpness > 0
