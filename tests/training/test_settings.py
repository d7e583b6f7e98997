"""Settings out of range, and the learning rate's course."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retina_adapt.training import TrainingSettings, TrainingSettingsError
from retina_adapt.training.schedule import DECAYS, learning_rate_factor


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", -1),
        ("batch_size", 0),
        ("gradient_accumulation", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("warmup_steps", -1),
        ("learning_rate_decay", "linaer"),
        ("weight_decay", -0.1),
        ("gradient_clip", 0.0),
        ("seed", -1),
        ("seed", 2**32),
        ("mixed_precision", "fp16"),
        ("workers", -1),
        ("log_every", 0),
        ("validate_every", 0),
        ("checkpoint_every", 0),
        ("checkpoints_kept", 0),
        ("patience", -1),
        ("least_improvement", -0.1),
        ("least_improvement", float("nan")),
        ("moving_average_decay", -0.1),
        ("moving_average_decay", 1.0),
        ("moving_average_decay", float("nan")),
    ],
)
def test_a_setting_out_of_range_is_an_error_that_names_it(name: str, value: float | str) -> None:
    with pytest.raises(TrainingSettingsError, match=rf"^{name} is"):
        TrainingSettings(**{name: value})


@pytest.mark.parametrize(("decay", "after_a_quarter"), [("linear", 0.75), ("cosine", 0.5 + 0.125**0.5)])
def test_the_learning_rate_rises_linearly_and_falls_to_zero_as_it_is_told(decay: str, after_a_quarter: float) -> None:
    factors = [learning_rate_factor(step, steps=12, warmup_steps=4, decay=decay) for step in range(13)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4] == 1.0
    assert factors[6] == pytest.approx(after_a_quarter)
    assert factors[8] == pytest.approx(0.5)
    assert factors[12] == pytest.approx(0.0)


@given(steps=st.integers(1, 50), warmup_steps=st.integers(0, 60), decay=st.sampled_from(DECAYS))
def test_the_learning_rate_is_positive_at_every_step_and_never_above_its_peak(
    steps: int, warmup_steps: int, decay: str
) -> None:
    factors = [learning_rate_factor(step, steps=steps, warmup_steps=warmup_steps, decay=decay) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    peak = factors.index(max(factors))
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
