"""Typed records from what a JSON file holds: nothing missing, nothing unknown, nothing of another type."""

import dataclasses
import math
import unicodedata
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from retina_adapt.routing.errors import RouterFileError, RouterSettingsError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def record_from_plain(values: Any, record_class: type[Record], *, origin: str) -> Record:
    """The inverse of `dataclasses.asdict` after JSON, strict.

    Args:
        record_class: a dataclass of numbers, texts, and lists, tuples and mappings of these.
        origin: what error messages call the values.

    Raises:
        RouterFileError: names `origin` and the field that is missing, unknown, or cannot have this value.
    """
    if not isinstance(values, dict):
        raise RouterFileError(f"{origin}: is a {type(values).__name__}; it must hold named fields")
    fields = {field.name: field.type for field in dataclasses.fields(record_class)}
    unknown, missing = sorted(values.keys() - fields.keys()), sorted(fields.keys() - values.keys())
    if unknown or missing:
        raise RouterFileError(
            f"{origin}: unknown: {', '.join(unknown) or 'none'}; missing: {', '.join(missing) or 'none'}. "
            "Was it written by another version of retina_adapt?"
        )
    for name, value in values.items():
        if not _fits(value, fields[name]):
            raise RouterFileError(f"{origin}: '{name}' has an unexpected value: {repr(value)[:60]}")
    try:
        # JSON has lists only.
        return record_class(**{name: _with_tuples(value, fields[name]) for name, value in values.items()})
    except RouterSettingsError as error:
        raise RouterFileError(f"{origin}: {error}") from error


def _fits(value: Any, expected: Any) -> bool:
    kind, inner = get_origin(expected) or expected, get_args(expected)
    if kind in (list, tuple):
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if kind is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if kind is float:
        # Python's integers have no end, and JSON's neither.
        return (type(value) is int and abs(value) < 2**53) or (type(value) is float and math.isfinite(value))
    if kind is str:
        # Control characters steer a terminal that prints them, and lone surrogates cannot be written.
        return isinstance(value, str) and not any(
            unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in value
        )
    return type(value) is kind


def _with_tuples(value: Any, expected: Any) -> Any:
    return tuple(value) if get_origin(expected) is tuple else value
