"""Photographs of one eye are told from those of two, and shifts are found, whatever is wrong with one of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retina_adapt.data import Draw, PairSource, PhotographSource, measure_alignment, open_pairs
from retina_adapt.data.alignment import MEASURED_SIZE
from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.imaging.synthetic_fundus import draw_fundus

EYES = [draw_fundus(seed, MEASURED_SIZE)[::2] for seed in range(3)]


@settings(max_examples=25, deadline=None)
@given(
    eye=st.integers(0, 2),
    preset=st.sampled_from(["light", "haze", "spots", "blur"]),
    seed=st.integers(0, 99),
    down=st.integers(-20, 20),
    right=st.integers(-20, 20),
)
def test_a_shift_is_found_under_any_fault(eye: int, preset: str, seed: int, down: int, right: int) -> None:
    high, mask = EYES[eye]
    low = apply_degradation(high, mask, draw_degradation(preset, seed=seed))
    found = measure_alignment(np.roll(low, (down, right), (0, 1)), high, mask)
    assert found.down * MEASURED_SIZE == pytest.approx(down, abs=1)
    assert found.right * MEASURED_SIZE == pytest.approx(right, abs=1)
    assert found.likeness > 0.3


def test_other_eyes_are_not_alike() -> None:
    for one, other in ((0, 1), (1, 2), (2, 0)):
        assert measure_alignment(EYES[one][0], EYES[other][0], EYES[other][1]).likeness < 0.28


def test_a_photograph_without_any_vessel_is_like_none() -> None:
    high, mask = EYES[0]
    assert measure_alignment(np.full_like(high, 0.5), high, mask).likeness < 0.1
    assert measure_alignment(high, high, np.zeros_like(mask)).likeness == 0


@pytest.mark.corpus
@pytest.mark.parametrize("preset", ["light", "haze", "spots", "blur", "noise", "mixed"])
def test_real_photographs_agree_with_their_degraded_selves_and_with_no_other(corpus, preset: str) -> None:
    source = PairSource(clear=[PhotographSource(str(corpus / "hrf"), "validation")], degradation=preset)
    pairs = open_pairs(source, MEASURED_SIZE)
    items = [pairs[Draw(index, index)] for index in range(len(pairs))]
    images = [
        (*(item[key].permute(1, 2, 0).numpy() for key in ("low", "high")), item["mask"][0].numpy()) for item in items
    ]
    for position, (low, high, mask) in enumerate(images):
        own = measure_alignment(low, high, mask)
        assert own.shift < 0.002
        # Of several strong faults at once hardly a vessel may be left.
        assert own.likeness > (0.2 if preset == "mixed" else 0.28)
        assert measure_alignment(images[position - 1][0], high, mask).likeness < 0.28
