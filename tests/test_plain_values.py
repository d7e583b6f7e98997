"""Values from JSON are what a record's types say, no more and no less."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retina_adapt.plain_values import fits_type

PLAIN = {
    str: st.text(st.characters(exclude_categories=("Cc", "Cs"))),
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
    bool: st.booleans(),
}


@given(st.sampled_from(list(PLAIN)).flatmap(lambda kind: st.tuples(st.just(kind), PLAIN[kind])))
def test_a_value_of_a_type_fits_it_alone_in_lists_in_mappings_and_beside_none(drawn: tuple[Any, Any]) -> None:
    kind, value = drawn
    for whole, expected in (
        (value, kind),
        ([value, value], list[kind]),
        ([value], tuple[kind, ...]),
        ({"key": value}, dict[str, kind]),
        (value, kind | None),
        (None, kind | None),
    ):
        assert fits_type(json.loads(json.dumps(whole)), expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, int),
        (True, float),
        (1, bool),
        (1.0, int),
        ("1", float),
        (None, str),
        (float("nan"), float),
        (float("inf"), float),
        (2**53 + 1, float),
        ("\x1b[2J", str),
        ("\ud800", str),
        ([1, "2"], list[int]),
        ("ab", list[str]),
        ({"a": 1.5}, dict[str, int]),
        ([], dict[str, int]),
        ({}, list[int]),
        (1.5, int | None),
    ],
)
def test_another_value_does_not_fit(value: Any, expected: Any) -> None:
    assert not fits_type(value, expected)
