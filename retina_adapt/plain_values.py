"""Values and records from JSON, checked against their types: others may have written them."""

import dataclasses
import math
import types
import typing
import unicodedata
from typing import TYPE_CHECKING, Any, TypeVar

from retina_adapt.errors import RetinaAdaptError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def record_from_plain(values: Any, record_class: type[Record], *, origin: str, error: type[RetinaAdaptError]) -> Record:
    """Make a record from its `dataclasses.asdict` read back from JSON, strictly: nothing is missing, nothing unknown.

    Args:
        record_class: a dataclass whose fields have types as in `fits_type`, or are tuples of further such dataclasses.
        origin: the name of the values in error messages.
        error: type of the errors raised.

    Raises:
        The given error: names `origin` and the field that is missing, unknown, or cannot have its value.
    """
    if not isinstance(values, dict):
        raise error(f"{origin}: is a {type(values).__name__}; it must hold named fields")
    fields = {field.name: field.type for field in dataclasses.fields(record_class)}
    # Keys that were read from YAML may be numbers.
    unknown = sorted(str(name) for name in values.keys() - fields.keys())
    missing = sorted(fields.keys() - values.keys())
    if unknown or missing:
        raise error(
            f"{origin}: unknown: {', '.join(unknown) or 'none'}; missing: {', '.join(missing) or 'none'}. "
            "Was it written by another version of retina_adapt?"
        )
    found = {}
    for name, value in values.items():
        is_tuple = typing.get_origin(fields[name]) is tuple
        item = typing.get_args(fields[name])[0] if is_tuple else None
        if isinstance(item, type) and dataclasses.is_dataclass(item) and isinstance(value, list):
            value = [record_from_plain(part, item, origin=f"{origin}: {name}", error=error) for part in value]
        elif not fits_type(value, fields[name]):
            raise error(f"{origin}: '{name}' has an unexpected value: {repr(value)[:200]}")
        # JSON has no tuples.
        found[name] = tuple(value) if is_tuple else value
    try:
        return record_class(**found)
    except RetinaAdaptError as refusal:
        raise error(f"{origin}: {refusal}") from refusal


def fits_type(value: Any, expected: Any) -> bool:
    """Whether a value from JSON fits a type: str, int, float, bool, None, Any; a list, tuple, dict or union of these.

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
    if origin is Any:
        return True
    if origin is float:
        return (type(value) is int and abs(value) <= 2**53) or (type(value) is float and math.isfinite(value))
    if origin is str:
        return isinstance(value, str) and not any(
            unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in value
        )
    return type(value) is origin
