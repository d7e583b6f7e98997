"""How well a router does: counts, shares and rank correlations."""

import numpy as np
import pytest

from retina_adapt.routing import ConfusionTable, RouterSettingsError, rank_correlation


def test_the_rank_correlation_is_spearman_s_ties_included() -> None:
    assert rank_correlation([1, 2, 3], [10, 30, 20]) == pytest.approx(0.5)
    assert rank_correlation([1, 2, 2, 3], [-1, -4, -4, -9]) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 beside 2, 1, 3, 4.
    assert rank_correlation([0, 5, 5, 9], [2, 1, 3, 4]) == pytest.approx(3 / np.sqrt(4.5 * 5))


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
