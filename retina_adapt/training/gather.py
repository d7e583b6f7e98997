"""Scores of a validation that several processes share."""

from accelerate import Accelerator
from accelerate.utils import gather_object


def mean_scores(accelerator: Accelerator, scores: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each score over the items of all processes; processes may hold different numbers of items.

    Args:
        scores: of this process, a dictionary of the same keys for each item.
    """
    everyone = gather_object(scores) if accelerator.num_processes > 1 else scores
    return {key: sum(item[key] for item in everyone) / len(everyone) for key in everyone[0]}
