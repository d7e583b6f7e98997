"""Batches as a pure function of seed and step."""

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retina_adapt.data import EvaluationBatchSampler, SamplingError, TrainingBatchSampler

lengths, batch_sizes, process_counts = st.integers(1, 40), st.integers(1, 7), st.integers(1, 4)
step_counts, seeds = st.integers(0, 30), st.integers(0, 2**32)


@settings(deadline=None)
@given(length=lengths, batch_size=batch_sizes, world_size=process_counts, steps=step_counts, seed=seeds)
def test_all_processes_together_see_what_one_process_sees(length, batch_size, world_size, steps, seed):
    alone = list(TrainingBatchSampler(length, batch_size * world_size, steps=steps, seed=seed))
    shares = [
        TrainingBatchSampler(length, batch_size, steps=steps, seed=seed, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    together = [list(itertools.chain(*batches)) for batches in zip(*shares, strict=True)]
    assert together == alone


@settings(deadline=None)
@given(length=lengths, batch_size=batch_sizes, steps=step_counts, seed=seeds, data=st.data())
def test_a_resumed_run_sees_the_tail_of_the_whole_run(length, batch_size, steps, seed, data):
    first_step = data.draw(st.integers(0, steps))
    whole = TrainingBatchSampler(length, batch_size, steps=steps, seed=seed)
    resumed = TrainingBatchSampler(length, batch_size, steps=steps, seed=seed, first_step=first_step)
    assert list(resumed) == list(whole)[first_step:]
    assert len(resumed) == steps - first_step


@settings(deadline=None)
@given(length=lengths, batch_size=batch_sizes, seed=seeds, epochs=st.integers(1, 3))
def test_every_epoch_visits_each_item_exactly_once(length, batch_size, seed, epochs):
    steps = -(-length * epochs // batch_size)
    draws = list(itertools.chain(*TrainingBatchSampler(length, batch_size, steps=steps, seed=seed)))
    for epoch in range(epochs):
        visited = Counter(draw.index for draw in draws[epoch * length : (epoch + 1) * length])
        assert visited == Counter(range(length))


@given(seed=seeds)
def test_every_draw_has_a_seed_of_its_own_that_fits_a_tensor(seed):
    draws = list(itertools.chain(*TrainingBatchSampler(5, 4, steps=25, seed=seed)))
    assert len({draw.seed for draw in draws}) == 100
    assert all(0 <= draw.seed < 2**63 for draw in draws)


def test_epochs_and_seeds_differ_in_their_order():
    def order(seed, epoch):
        batches = TrainingBatchSampler(20, 20, steps=2, seed=seed)
        return [draw.index for draw in list(batches)[epoch]]

    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_a_sampler_can_be_iterated_again():
    batches = TrainingBatchSampler(7, 2, steps=5, seed=3)
    assert list(batches) == list(batches)


@given(length=lengths, batch_size=batch_sizes, world_size=process_counts, seed=seeds)
def test_evaluation_visits_every_item_once_over_all_processes(length, batch_size, world_size, seed):
    draws = []
    for rank in range(world_size):
        share = EvaluationBatchSampler(length, batch_size, seed=seed, rank=rank, world_size=world_size)
        batches = list(share)
        assert len(batches) == len(share)
        assert all(1 <= len(batch) <= batch_size for batch in batches)
        draws += itertools.chain(*batches)
    assert Counter(draw.index for draw in draws) == Counter(range(length))
    assert sorted(draws) == list(itertools.chain(*EvaluationBatchSampler(length, batch_size, seed=seed)))


@pytest.mark.parametrize(
    ("length", "batch_size", "options"),
    [
        (0, 4, {"steps": 1}),
        (4, 0, {"steps": 1}),
        (4, 2, {"steps": 1, "rank": 2, "world_size": 2}),
        (4, 2, {"steps": 5, "first_step": 6}),
    ],
)
def test_numbers_that_do_not_fit_are_errors(length, batch_size, options):
    with pytest.raises(SamplingError):
        TrainingBatchSampler(length, batch_size, seed=0, **options)
