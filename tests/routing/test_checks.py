"""How well a router does: counts, shares and rank correlations."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from retina_adapt.routing import ConfusionTable, RouterSettingsError, rank_correlation

VALUES = st.lists(st.tuples(st.integers(0, 5), st.floats(-10, 10)), min_size=3, max_size=30)


@given(pairs=VALUES)
def test_the_rank_correlation_is_spearman_s_ties_included(pairs: list[tuple[int, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic, abs=1e-9)


@pytest.mark.parametrize(("first", "second"), [([1, 2], [1]), ([1], [1]), ([1, 1], [1, 2]), ([], [])])
def test_a_rank_correlation_needs_values_that_differ(first: list[float], second: list[float]) -> None:
    with pytest.raises(RouterSettingsError, match="two lists of one length"):
        rank_correlation(first, second)


def test_shares_are_of_each_row_and_the_accuracy_is_their_mean_over_the_classes() -> None:
    table = ConfusionTable(["clear", "haze"])
    for truth, outcome in [("clear", "clear")] * 3 + [("clear", "haze")] + [("haze", "haze")] * 2:
        table.add(truth, outcome)
    table.add("clear: CSDI", "haze")
    assert table.share("clear", "haze") == 0.25
    assert table.share("unseen", "haze") == 0.0
    assert table.accuracy() == np.mean([0.75, 1.0])
    assert table.to_markdown().splitlines() == [
        "| | photographs | clear | haze |",
        "|---|---:|---:|---:|",
        "| clear | 4 | 75 | 25 |",
        "| haze | 2 | · | 100 |",
        "| clear: CSDI | 1 | · | 100 |",
    ]


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="no outcome 'fog'"):
        ConfusionTable(["clear", "haze"]).add("clear", "fog")
