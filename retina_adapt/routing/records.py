"""Typed records from the content of a JSON file: nothing missing, nothing unknown, nothing of another type."""

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from retina_adapt.plain_values import fits_type
from retina_adapt.routing.errors import RouterFileError, RouterSettingsError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def record_from_plain(values: Any, record_class: type[Record], *, origin: str) -> Record:
    """Make a record from its `dataclasses.asdict` read back from JSON, strictly.

    Args:
        record_class: a dataclass of numbers, strings, and lists, tuples and mappings of these.
        origin: the name of the values in error messages.

    Raises:
        RouterFileError: names `origin` and the field that is missing, unknown, or cannot have its value.
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
        if not fits_type(value, fields[name]):
            raise RouterFileError(f"{origin}: '{name}' has an unexpected value: {repr(value)[:60]}")
    try:
        # JSON has no tuples.
        return record_class(**{name: _with_tuples(value, fields[name]) for name, value in values.items()})
    except RouterSettingsError as error:
        raise RouterFileError(f"{origin}: {error}") from error


def _with_tuples(value: Any, expected: Any) -> Any:
    return tuple(value) if get_origin(expected) is tuple else value
