"""What processes share: the scores of a validation, the failure of any of them, and a signal to any of them."""

from collections.abc import Callable
from typing import TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object

from retina_adapt.errors import RetinaAdaptError

Result = TypeVar("Result")


class NoScoresError(RetinaAdaptError):
    """A validation that scored nothing on any process."""


def mean_scores(accelerator: Accelerator, scores: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each score over the items of all processes that have it; all processes call this.

    Args:
        scores: this process's scores, one dictionary per item. Processes may hold different numbers of items, even
            none, and items may have different scores.

    Raises:
        NoScoresError: no process holds an item; raised on all of them.
    """
    everyone = gather_object(scores) if accelerator.num_processes > 1 else scores
    if not everyone:
        raise NoScoresError("the validation scored no image on any process; give it at least one photograph or pair")
    by_name: dict[str, list[float]] = {}
    for item in everyone:
        for name, value in item.items():
            by_name.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in by_name.items()}


def on_any_process(accelerator: Accelerator, here: bool) -> bool:
    """Whether `here` is true on any process; all processes call this."""
    return any(gather_object([here])) if accelerator.num_processes > 1 else here


def fail_together(accelerator: Accelerator, work: Callable[[], Result]) -> Result:
    """Do work at which only some processes may fail; a `RetinaAdaptError` on any of them is raised on all.

    Otherwise, the others would wait for the failed process until the launcher ends them.

    Returns:
        What `work` returns on this process.

    Raises:
        RetinaAdaptError: this process's own error, or else that of the first process that failed.
    """
    failure: RetinaAdaptError | None = None
    try:
        result = work()
    except RetinaAdaptError as error:
        failure = error
    if accelerator.num_processes > 1:
        failures = [error for error in gather_object([failure]) if error is not None]
    else:
        failures = [] if failure is None else [failure]
    if failures:
        raise failure or failures[0]
    return result
