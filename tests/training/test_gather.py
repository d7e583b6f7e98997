"""Means of scores on one process; test_two_processes.py has the rest."""

import pytest
from accelerate import Accelerator

from retina_adapt.training import NoScoresError, mean_scores


def test_each_score_is_the_mean_over_the_items_that_have_it() -> None:
    scores = [{"psnr": 10.0, "ssim": 0.5}, {"psnr": 20.0}, {"vessels": 3.0}]
    assert mean_scores(Accelerator(cpu=True), scores) == {"psnr": 15.0, "ssim": 0.5, "vessels": 3.0}


def test_a_validation_of_nothing_is_an_error_that_says_what_to_give_it() -> None:
    with pytest.raises(NoScoresError, match="at least one photograph or pair"):
        mean_scores(Accelerator(cpu=True), [])
