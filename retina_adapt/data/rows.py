"""Read rows of a `datasets` data set as photographs; columns are checked, and every error names the file."""

from typing import Any, TypeAlias, TypeVar

import datasets
import fsspec

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import ImageReadError, Photograph, decode_photograph, read_photograph

AnyDataset: TypeAlias = datasets.Dataset | datasets.IterableDataset
DatasetType = TypeVar("DatasetType", datasets.Dataset, datasets.IterableDataset)

# Endings of the types of paths and of encoded images; a column without any value is of type null.
_MAY_BE_IMAGES = ("string", "binary", "string_view", "binary_view", "null")


class MissingColumnError(RetinaAdaptError):
    """A data set lacks a column, or one that should hold images holds numbers; the message lists those it has."""


def require_columns(dataset: AnyDataset, *columns: str) -> None:
    """Check that all columns exist.

    Raises:
        MissingColumnError: one does not.
    """
    present = dataset.column_names or []
    missing = [column for column in columns if column not in present]
    if missing:
        raise MissingColumnError(
            f"there is no column {', '.join(map(repr, missing))}; the columns are: {', '.join(present)}"
        )


def as_undecoded_images(dataset: DatasetType, *columns: str) -> DatasetType:
    """Turn columns of paths or images into undecoded {"path", "bytes"} values, which `row_photograph` reads.

    `datasets` itself decodes with Pillow alone, which loses 16-bit colour and does not turn pictures upright.

    Raises:
        MissingColumnError: a column does not exist, or holds numbers.
    """
    require_columns(dataset, *columns)
    for column in columns:
        feature = (dataset.features or {}).get(column)
        if isinstance(feature, datasets.Value | datasets.ClassLabel) and not feature.dtype.endswith(_MAY_BE_IMAGES):
            raise MissingColumnError(
                f"column {column!r} holds no images, but values of the type {feature.dtype}; the columns are: "
                + ", ".join(dataset.column_names or [])
            )
        dataset = dataset.cast_column(column, datasets.Image(decode=False))
    return dataset


def row_name(value: dict[str, Any], column: str, index: int) -> str:
    """The name of an image in error messages: its path, if it has one."""
    return value.get("path") or f"row {index}, column {column!r}"


def row_photograph(value: dict[str, Any] | None, column: str, index: int) -> Photograph:
    """Read the photograph of one undecoded image value.

    Raises:
        ImageReadError: the value is empty, or the file or bytes cannot be read.
    """
    if value and value.get("bytes") is None and value.get("path") and "://" not in value["path"]:
        return read_photograph(value["path"])
    return decode_photograph(row_bytes(value, column, index), row_name(value or {}, column, index))


def row_bytes(value: dict[str, Any] | None, column: str, index: int) -> bytes:
    """The encoded photograph of one undecoded image value.

    Raises:
        ImageReadError: the value is empty, or its file cannot be read.
    """
    if not value or not (value.get("path") or value.get("bytes")):
        raise ImageReadError(f"row {index}, column {column!r}: holds no image; remove the row or fill it")
    if value.get("bytes") is not None:
        return value["bytes"]
    try:
        with fsspec.open(value["path"], "rb") as stream:
            return stream.read()
    except (OSError, ImportError, ValueError) as error:
        # `fsspec` misses a package for the path's protocol, or does not know it.
        raise ImageReadError(f"{value['path']}: cannot be read ({error}); check the path") from error
