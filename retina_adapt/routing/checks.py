"""How well a router does: which class it takes for which, and how its estimates rank real photographs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import spearmanr

from retina_adapt.markdown import markdown_table
from retina_adapt.routing.errors import RouterSettingsError


@dataclass
class ConfusionTable:
    """Counts of how photographs of each kind were routed.

    Attributes:
        outcomes: names of the columns.
        counts: counts by outcome, by the row's name; rows are in the order of their first photographs.
    """

    outcomes: Sequence[str]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, truth: str, outcome: str) -> None:
        """Count one photograph; raise ValueError for an unknown outcome."""
        if outcome not in self.outcomes:
            raise ValueError(f"there is no outcome {outcome!r}; there are: {', '.join(self.outcomes)}")
        row = self.counts.setdefault(truth, dict.fromkeys(self.outcomes, 0))
        row[outcome] += 1

    def share(self, truth: str, outcome: str) -> float:
        """Share of the photographs of this kind with this outcome, in [0, 1]; 0 if there are none."""
        row = self.counts.get(truth, {})
        return row.get(outcome, 0) / max(1, sum(row.values()))

    def accuracy(self) -> float:
        """Mean share on the diagonal, over the rows whose name is an outcome, in [0, 1]; 0 if there are none."""
        shares = [self.share(truth, truth) for truth in self.counts if truth in self.outcomes]
        return float(np.mean(shares)) if shares else 0.0

    def to_markdown(self) -> str:
        """The table: for each row, its number of photographs and the percentage with each outcome."""
        rows = []
        for truth, row in self.counts.items():
            cells = [f"{100 * self.share(truth, outcome):.0f}" if row[outcome] else "·" for outcome in self.outcomes]
            rows.append([truth, str(sum(row.values())), *cells])
        return markdown_table(["", "photographs", *self.outcomes], rows, text_columns=1)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank; in [-1, 1].

    Raises:
        RouterSettingsError: the lengths differ, or one side has fewer than two different values.
    """
    if len(first) != len(second) or len(set(first)) < 2 or len(set(second)) < 2:
        raise RouterSettingsError(
            "a rank correlation needs two lists of one length, each of at least two different values"
        )
    return float(spearmanr(first, second).statistic)
