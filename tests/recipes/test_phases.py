"""Stage one of adaptation may begin on small frames and end on large ones, also in a run that is resumed."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from accelerate.state import PartialState
from torch import Tensor
from torch.utils.data import Dataset

from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.data import Draw
from retina_adapt.training import TrainingSettings

SETTINGS = TrainingSettings(steps=5, batch_size=2, gradient_accumulation=2)


class Frames(Dataset[dict[str, Tensor]]):
    """Items that tell their draw and the size of their frames."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return 3

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        return {"size": torch.tensor(self.size), "seed": torch.tensor(draw.seed)}


@pytest.fixture(scope="module")
def adapt() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(recipes_folder()))
        yield importlib.import_module("adapt")


def seen(
    adapt: ModuleType, first: int, small_steps: int, large_steps: int = 0, settings: TrainingSettings = SETTINGS
) -> list[tuple[list[int], list[int]]]:
    phases = [
        adapt.Phase(Frames(32), small_steps, settings.batch_size, 0.25),
        adapt.Phase(Frames(64), settings.steps - large_steps, settings.batch_size),
        adapt.Phase(Frames(128), settings.steps, 1, 5.0),
    ]
    batches = adapt.batches_from(phases, settings, PartialState(cpu=True), first)
    return [(batch["size"].tolist(), batch["seed"].tolist()) for batch in batches]


def test_the_first_steps_see_small_frames_and_the_rest_whole_ones(adapt: ModuleType) -> None:
    sizes = [sizes for sizes, _ in seen(adapt, 0, small_steps=2)]
    assert sizes == [[32, 32]] * 4 + [[64, 64]] * 6  # two micro-batches a step


def test_the_last_steps_see_large_frames_in_batches_of_their_own_size(adapt: ModuleType) -> None:
    sizes = [sizes for sizes, _ in seen(adapt, 0, small_steps=2, large_steps=1)]
    assert sizes == [[32, 32]] * 4 + [[64, 64]] * 4 + [[128]] * 2


@pytest.mark.parametrize("first", [1, 3, 4, 7, 9])
def test_a_resumed_run_sees_what_it_would_have_seen(adapt: ModuleType, first: int) -> None:
    assert seen(adapt, first, small_steps=2, large_steps=2) == seen(adapt, 0, small_steps=2, large_steps=2)[first:]


@pytest.mark.parametrize(("large_steps", "batch_size", "tried"), [(1, 2, [128]), (0, 2, [64, 64]), (1, 6, [64] * 6)])
def test_a_dry_run_tries_the_steps_that_cost_most(
    adapt: ModuleType, large_steps: int, batch_size: int, tried: list[int]
) -> None:
    settings = replace(SETTINGS, dry_run=True, batch_size=batch_size)
    batches = seen(adapt, 0, small_steps=2, large_steps=large_steps, settings=settings)
    assert batches[0][0] == tried


def test_small_frames_change_the_size_of_what_is_seen_and_nothing_else(adapt: ModuleType) -> None:
    assert [seeds for _, seeds in seen(adapt, 0, small_steps=3)] == [seeds for _, seeds in seen(adapt, 0, 0)]
