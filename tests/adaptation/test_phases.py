"""Stage one of adaptation may begin on small frames and end on large ones, also in a run that is resumed."""

from dataclasses import replace

import pytest
import torch
from accelerate.state import PartialState
from torch import Tensor
from torch.utils.data import Dataset

from retina_adapt.adaptation import PairBatchError, Phase, SecondLook, SmallFrames, batches_of_phases
from retina_adapt.configuration import ConfigurationError
from retina_adapt.data import Draw
from retina_adapt.training import TrainingSettings

SETTINGS = TrainingSettings(steps=5, batch_size=2, gradient_accumulation=2)


class Frames(Dataset[dict[str, Tensor]]):
    """Pairs of frames of a size, of which some tensors may be others than they should."""

    def __init__(self, size: int, **others: Tensor | None) -> None:
        self.size = size
        self.others = others

    def __len__(self) -> int:
        return 3

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        frame = torch.rand(3, self.size, self.size)
        mask = torch.ones(1, self.size, self.size, dtype=torch.bool)
        item = {"low": frame, "high": frame, "mask": mask, "seed": torch.tensor(draw.seed)} | self.others
        return {key: tensor for key, tensor in item.items() if tensor is not None}


def seen(
    first: int, small_steps: int, large_steps: int = 0, settings: TrainingSettings = SETTINGS
) -> list[tuple[list[int], list[int]]]:
    phases = [
        Phase(Frames(32), small_steps, settings.batch_size, 0.25),
        Phase(Frames(64), settings.steps - large_steps, settings.batch_size),
        Phase(Frames(128), settings.steps, 1, 5.0),
    ]
    batches = batches_of_phases(phases, settings, PartialState(cpu=True), first)
    return [([batch["low"].shape[-1]] * len(batch["low"]), batch["seed"].tolist()) for batch in batches]


def test_the_first_steps_see_small_frames_and_the_rest_whole_ones() -> None:
    sizes = [sizes for sizes, _ in seen(0, small_steps=2)]
    assert sizes == [[32, 32]] * 4 + [[64, 64]] * 6  # two micro-batches a step


def test_the_last_steps_see_large_frames_in_batches_of_their_own_size() -> None:
    sizes = [sizes for sizes, _ in seen(0, small_steps=2, large_steps=1)]
    assert sizes == [[32, 32]] * 4 + [[64, 64]] * 4 + [[128]] * 2


@pytest.mark.parametrize("first", [1, 3, 4, 7, 9])
def test_a_resumed_run_sees_what_it_would_have_seen(first: int) -> None:
    assert seen(first, small_steps=2, large_steps=2) == seen(0, small_steps=2, large_steps=2)[first:]


def test_no_draw_comes_twice_whatever_the_batches() -> None:
    seeds = [seed for _, seeds in seen(0, small_steps=2, large_steps=2) for seed in seeds]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(("large_steps", "batch_size", "tried"), [(1, 2, [128]), (0, 2, [64, 64]), (1, 6, [64] * 6)])
def test_a_dry_run_tries_the_steps_that_cost_most(large_steps: int, batch_size: int, tried: list[int]) -> None:
    settings = replace(SETTINGS, dry_run=True, batch_size=batch_size)
    batches = seen(0, small_steps=2, large_steps=large_steps, settings=settings)
    assert batches[0][0] == tried


def test_small_frames_change_the_size_of_what_is_seen_and_nothing_else() -> None:
    assert [seeds for _, seeds in seen(0, small_steps=3)] == [seeds for _, seeds in seen(0, 0)]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"mask": None, "seed": None}, "lack mask, seed"),
        ({"low": torch.full((3, 16, 16), 255.0)}, "low of pairs .* from 255 to 255"),
        ({"high": torch.full((3, 16, 16), torch.nan)}, "high of pairs .* nan"),
        ({"low": torch.zeros(3, 16, 16, dtype=torch.uint8)}, "low of pairs is torch.uint8"),
        ({"low": torch.zeros(16, 16)}, r"low of pairs is torch.float32 \(2, 16, 16\)"),
        ({"high": torch.zeros(3, 8, 8)}, r"high of pairs .*\(2, 3, 16, 16\)"),
        ({"mask": torch.ones(1, 16, 16)}, r"mask of pairs is torch.float32 .* torch.bool \(2, 1, 16, 16\)"),
        ({"seed": torch.tensor(0.5)}, r"torch.tensor\(draw.seed\)"),
    ],
)
def test_a_batch_that_is_not_of_pairs_is_refused_with_the_key_that_is_wrong(
    others: dict[str, Tensor | None], said: str
) -> None:
    phases = [Phase(Frames(16, **others), SETTINGS.steps, 2)]
    with pytest.raises(PairBatchError, match=said):
        next(batches_of_phases(phases, SETTINGS, PartialState(cpu=True), 0))


@pytest.mark.parametrize(
    ("settings", "values", "said"),
    [
        (SmallFrames, {"steps": -1}, "must not be negative"),
        (SecondLook, {"steps": -1}, "must not be negative"),
        (SecondLook, {"batch_size": 0}, "must be at least 1"),
    ],
)
def test_a_phase_that_cannot_be_is_refused(settings: type, values: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        settings(**values)
