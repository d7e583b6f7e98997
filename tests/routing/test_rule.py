"""From probabilities to a choice: none for a clear photograph, else the likeliest fault's adaptor, and no other."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retina_adapt.routing import (
    CLASSES,
    CLEAR,
    FaultNetwork,
    Router,
    RouterSettings,
    RouterSettingsError,
    clear_threshold,
)

FAULTS = [name for name in CLASSES if name != CLEAR]
PROBABILITIES = st.lists(st.floats(0.001, 1.0), min_size=len(CLASSES), max_size=len(CLASSES)).map(
    lambda values: torch.tensor(values, dtype=torch.float64) / sum(values)
)


def deciding(**settings: object) -> Router:
    """The rule of these settings; the network plays no part in it."""
    return Router(FaultNetwork(len(CLASSES), 64, channels=(1, 1, 1, 1, 1)), RouterSettings(**settings))


def probabilities(**values: float) -> torch.Tensor:
    return torch.tensor([values.get(name, 0.0) for name in CLASSES])


@given(probabilities=PROBABILITIES, threshold=st.floats(0.0, 1.0), available=st.sets(st.sampled_from(FAULTS)))
def test_none_from_the_threshold_on_else_the_likeliest_fault_s_if_it_is_there(
    probabilities: torch.Tensor, threshold: float, available: set[str]
) -> None:
    route = deciding(clear_threshold=threshold).choose(probabilities, 0.5, available)
    by_class = dict(zip(CLASSES, probabilities.tolist(), strict=True))
    assert route.probabilities == by_class
    assert route.confidence == by_class[route.fault]
    if by_class[CLEAR] >= threshold:
        assert (route.fault, route.adaptor, route.note) == (CLEAR, None, "")
    else:
        assert by_class[route.fault] == max(by_class[name] for name in FAULTS)
        assert route.adaptor == (route.fault if route.fault in available else None)
        assert bool(route.note) == (route.adaptor is None)


def test_a_missing_adaptor_is_named_and_not_replaced_by_another() -> None:
    route = deciding().choose(probabilities(blur=0.7, haze=0.3), 0.6, ["haze", "light"])
    assert route.adaptor is None
    assert route.note == "the adaptor 'blur' is not among those loaded: haze, light"


def test_a_class_may_have_an_adaptor_of_another_name_or_none() -> None:
    router = deciding(adaptors={"haze": "my-cataract"})
    assert router.choose(probabilities(haze=1.0), 0.6, ["my-cataract"]).adaptor == "my-cataract"
    without = router.choose(probabilities(blur=1.0), 0.6, ["my-cataract"])
    assert without.adaptor is None
    assert "no adaptor for the class 'blur'" in without.note


def test_a_route_says_what_was_found_and_chosen() -> None:
    router = deciding()
    assert str(router.choose(probabilities(haze=0.9, clear=0.1), 0.62, FAULTS)) == (
        "haze at 90%, severity 0.62: adaptor haze"
    )
    assert str(router.choose(probabilities(clear=0.8, blur=0.2), 0.1, FAULTS)) == "clear at 80%: no adaptor"
    assert "no adaptor (the adaptor 'haze' is not among" in str(router.choose(probabilities(haze=1.0), 0.62, []))


# The threshold


@given(
    values=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=50),
    share=st.floats(0.0, 0.99),
)
def test_the_threshold_is_the_highest_that_touches_no_more_clear_photographs_than_allowed(
    values: list[float], share: float
) -> None:
    clear = np.array(values)
    threshold = clear_threshold(clear, share)
    assert (clear < threshold).mean() <= share
    assert threshold == 0.5 or (clear < np.nextafter(threshold, 2.0)).mean() > share
    assert threshold <= 0.5


def test_the_threshold_uses_the_whole_share_where_its_product_with_the_number_rounds_down() -> None:
    assert 0.29 * 100 < 29
    clear = np.arange(100) / 100
    assert (clear < clear_threshold(clear, 0.29)).sum() == 29


@pytest.mark.parametrize(("values", "share"), [([], 0.1), ([0.5], 1.0), ([0.5], -0.1)])
def test_a_threshold_needs_photographs_and_a_share(values: list[float], share: float) -> None:
    with pytest.raises(RouterSettingsError, match=r"a share in \[0, 1\)"):
        clear_threshold(np.array(values), share)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 100}, "divisible by 32"),
        ({"image_size": 32}, "from 64"),
        ({"image_size": 2**20, "prepared_size": 2**21}, "to 1024"),
        ({"prepared_size": 128}, "from image_size, 256"),
        ({"channels": (8, 8, 8)}, "five numbers"),
        ({"channels": (8, 8, 8, 8, 0)}, "five numbers"),
        ({"channels": (8, 8, 8, 8, 10**9)}, "to 1024"),
        ({"hidden_features": 0}, "hidden_features is 0"),
        ({"clear_threshold": 1.5}, r"in \[0, 1\]"),
        ({"clear_threshold": float("nan")}, r"in \[0, 1\]"),
        ({"classes": ("clear", "haze")}, "train it again"),
        ({"adaptors": {"fog": "haze"}}, "no class fog"),
        ({"adaptors": {"clear": "haze"}}, "no class clear"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(RouterSettingsError, match=message):
        dataclasses.replace(RouterSettings(), **changes)
