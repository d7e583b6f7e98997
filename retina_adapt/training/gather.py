"""What several processes share: scores of a validation, failures of one of them, and what any of them is told."""

from collections.abc import Callable
from typing import TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object

from retina_adapt.errors import RetinaAdaptError

Result = TypeVar("Result")


class NoScoresError(RetinaAdaptError):
    """A validation that scored nothing on any process."""


def mean_scores(accelerator: Accelerator, scores: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each score over the items of all processes that have it; every process calls this.

    Args:
        scores: of this process, a dictionary for each item. Processes may hold different numbers of items, also none,
            and items different scores.

    Raises:
        NoScoresError: on every process, if none holds an item.
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
    """Whether it is so on this process or on another; every process calls this."""
    return any(gather_object([here])) if accelerator.num_processes > 1 else here


def fail_together(accelerator: Accelerator, work: Callable[[], Result]) -> Result:
    """Do what only some processes can fail at; an error of one that the user can mend is raised on all of them.

    Without it the others would wait for the failed one until the launcher ends them.

    Returns:
        What `work` gave on this process.

    Raises:
        RetinaAdaptError: the first process's that failed; of the same type on every process.
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
