"""Type checks for values from JSON, for records that others may have written."""

import math
import types
import typing
import unicodedata
from typing import Any


def fits_type(value: Any, expected: Any) -> bool:
    """Whether a value from JSON fits a type: str, int, float, bool, None, or lists, tuples, mappings, unions of these.

    Stricter than `isinstance`: a boolean is not a number; a float is finite, and an integer may stand for it only
    between -2**53 and 2**53, where floats hold integers exactly; text has no control characters but newline and tab,
    since they steer a terminal, nor lone surrogates, which cannot be written. A tuple is a list of values of its first
    type.
    """
    origin, arguments = typing.get_origin(expected) or expected, typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return any(fits_type(value, argument) for argument in arguments)
    if origin in (list, tuple):
        return isinstance(value, list) and all(fits_type(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            fits_type(key, arguments[0]) and fits_type(item, arguments[1]) for key, item in value.items()
        )
    if origin is float:
        return (type(value) is int and abs(value) <= 2**53) or (type(value) is float and math.isfinite(value))
    if origin is str:
        return isinstance(value, str) and not any(
            unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in value
        )
    return type(value) is origin
