"""Values from JSON are what a record's types say, no more and no less."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.plain_values import fits_type, record_from_plain

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


class OwnFileError(RetinaAdaptError):
    """What a file's reader raises."""


@dataclass(frozen=True)
class Part:
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sizes:
            raise RetinaAdaptError("give at least one size")


@dataclass(frozen=True)
class Whole:
    name: str
    parts: tuple[Part, ...]
    anything: dict[str, Any] = dataclasses.field(default_factory=dict)


def test_a_record_comes_back_equal() -> None:
    whole = Whole("a", (Part((1, 2)), Part((3,))), {"x": [None, {"y": 1}]})
    plain = json.loads(json.dumps(dataclasses.asdict(whole)))
    assert record_from_plain(plain, Whole, origin="file", error=OwnFileError) == whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "file: unknown: colour; missing: none"),
        # Keys in YAML may be numbers.
        ({1: "a", "b": 2}, "file: unknown: 1, b; missing: none"),
        ({"name": 1}, "file: 'name' has an unexpected value: 1"),
        ({"parts": {}}, "file: 'parts' has an unexpected value"),
        ({"parts": [1]}, "file: parts: is a int"),
        ({"parts": [{}]}, "file: parts: unknown: none; missing: sizes"),
        ({"parts": [{"sizes": ["1"]}]}, "file: parts: 'sizes' has an unexpected value"),
        ({"parts": [{"sizes": []}]}, "file: parts: give at least one size"),
    ],
)
def test_what_is_no_such_record_is_an_error_that_names_the_field(changes: dict, message: str) -> None:
    plain = {"name": "a", "parts": [{"sizes": [1]}], "anything": {}}
    with pytest.raises(OwnFileError, match=message):
        record_from_plain(plain | changes, Whole, origin="file", error=OwnFileError)
    with pytest.raises(OwnFileError, match="missing: anything"):
        record_from_plain({"name": "a", "parts": []}, Whole, origin="file", error=OwnFileError)
