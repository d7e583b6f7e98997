"""Prepare every photograph of a data set once and read it back at the speed of the disk."""

import hashlib
import json
import logging
import math
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.compute
import torch

from retina_adapt.data.preparation import (
    PreparationError,
    PreparedPhotograph,
    cut_and_resize,
    find_crop,
    require_same_frame,
    require_share,
)
from retina_adapt.data.rows import as_undecoded_images, row_name, row_photograph
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import FieldOfViewShape

_logger = logging.getLogger(__name__)

# Raise it when preparation computes something else: prepared files of earlier versions are then no longer used.
_FORMAT_VERSION = 3

_DIGESTED_BYTES = 4096

# Number of broken photographs that the warning names; `PreparedPhotographs.broken` has all of them.
_NAMED_IN_WARNING = 5

_FEATURES = datasets.Features(
    {
        "image": datasets.Value("large_binary"),
        "companion": datasets.Value("large_binary"),
        "mask": datasets.Value("large_binary"),
        "channels": datasets.Value("int32"),
        "bit_depth": datasets.Value("int32"),
        "companion_bit_depth": datasets.Value("int32"),
        "name": datasets.Value("string"),
        "error": datasets.Value("string"),
    }
)


class PreparedPhotographs(torch.utils.data.Dataset[PreparedPhotograph]):
    """Photographs by position, prepared as by `prepare_photograph`.

    The first use prepares all of them and stores the squares uncompressed, at the bit depth of their files, in an
    Arrow file in the `datasets` cache (`HF_DATASETS_CACHE`); later uses map that file into memory. Its name is a
    fingerprint of the rows, the files' sizes and times, and all arguments but `largest_broken_share`. Processes may
    start at once, since the file appears whole or not at all, but each would do the work: let the main one go first
    (`accelerator.main_process_first()`).

    Args:
        dataset: rows with undecoded images, as from `load_images`.
        size: side of the squares in pixels.
        image_column: the images in which to look for the field of view.
        companion_column: images of the same eye and the same frame size, cut by the same square.
        field_of_view: where to look, see `find_field_of_view`.
        largest_broken_share: share of the rows, in [0, 1], that may be broken: unreadable, without a field of view, or
            with a companion that does not fit. Such rows are left out, and every process warns of them at every use,
            through `logging`. At 0, any broken photograph is an error.

    Attributes:
        broken: the error of each row left out, starting with the file's name.
        fingerprint: identity of what the positions hold, as hexadecimal digits.

    Raises:
        MissingColumnError: a column does not exist.
        PreparationError: the data set is empty, `largest_broken_share` is out of range, more photographs are broken
            than allowed, all are, or some are grey and others in colour. The last three come after all photographs
            have been tried, and their message lists all at fault.
    """

    def __init__(
        self,
        dataset: datasets.Dataset,
        size: int,
        *,
        image_column: str = "image",
        companion_column: str | None = None,
        field_of_view: FieldOfViewShape = "auto",
        largest_broken_share: float = 0.0,
    ) -> None:
        require_share(largest_broken_share)
        columns = [column for column in (image_column, companion_column) if column is not None]
        dataset = as_undecoded_images(dataset, *columns)
        if len(dataset) == 0:
            raise PreparationError("the data set has no rows: there is nothing to prepare")
        arguments = {
            "size": size,
            "image_column": image_column,
            "companion_column": companion_column,
            "field_of_view": field_of_view,
        }
        fingerprint = _fingerprint(dataset, columns, arguments)
        self.size = size
        self.cache_file = Path(datasets.config.HF_DATASETS_CACHE) / "retina_adapt" / f"{fingerprint}.arrow"
        self.cache_file.parent.mkdir(parents=True, exist_ok=True)
        rows: datasets.Dataset = dataset.map(
            _prepare_row,
            with_indices=True,
            fn_kwargs=arguments,
            remove_columns=dataset.column_names,
            features=_FEATURES,
            cache_file_name=str(self.cache_file),
            load_from_cache_file=True,
            new_fingerprint=fingerprint,
            writer_batch_size=16,  # uncompressed squares are held in memory until they are written
            desc="Preparing photographs",
        )
        errors, names, channels = (list(rows[column]) for column in ("error", "name", "channels"))
        whole = [position for position, error in enumerate(errors) if error is None]
        self.broken = [error for error in errors if error is not None]
        try:
            _require_few_broken(self.broken, len(errors), largest_broken_share)
            _require_one_kind([(names[position], channels[position]) for position in whole])
        except PreparationError:
            # An upgrade may make a photograph readable without a change to its file. Windows does not delete a file
            # while it is mapped into memory.
            del rows
            self.cache_file.unlink(missing_ok=True)
            raise
        self._rows = rows.select(whole) if self.broken else rows
        # Includes the errors: a later version may read what this one cannot, and positions then move.
        self.fingerprint = hashlib.sha256(json.dumps([fingerprint, self.broken]).encode()).hexdigest()
        if self.broken:
            self._warn_of_broken()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> PreparedPhotograph:
        row = self._rows[index]
        return PreparedPhotograph(self._pixels(row, "image", row["bit_depth"]), self._mask(row))

    def with_companion(self, index: int) -> tuple[PreparedPhotograph, PreparedPhotograph]:
        """The image and its companion, with their common mask."""
        row = self._rows[index]
        mask = self._mask(row)
        return (
            PreparedPhotograph(self._pixels(row, "image", row["bit_depth"]), mask),
            PreparedPhotograph(self._pixels(row, "companion", row["companion_bit_depth"]), mask),
        )

    @property
    def names(self) -> list[str]:
        """Path or row of every image."""
        return list(self._rows["name"])

    def digests(self) -> list[str]:
        """The sha256 of 4 KiB from the middle of each image: equal for equal images, and for hardly any others."""
        found = []
        for row in self._rows.select_columns("image").with_format("arrow"):
            # A view: the images together may exceed the memory.
            pixels = row["image"][0].as_buffer()
            found.append(hashlib.sha256(pixels[pixels.size // 2 :][:_DIGESTED_BYTES]).hexdigest())
        return found

    def _pixels(self, row: dict[str, Any], column: str, bit_depth: int) -> np.ndarray:
        levels = np.frombuffer(row[column], dtype=np.uint8 if bit_depth == 8 else np.uint16)
        pixels = levels.astype(np.float32) / np.float32(2**bit_depth - 1)
        return pixels.reshape(self.size, self.size, row["channels"])

    def _mask(self, row: dict[str, Any]) -> np.ndarray:
        bits = np.unpackbits(np.frombuffer(row["mask"], dtype=np.uint8), count=self.size**2)
        return bits.astype(bool).reshape(self.size, self.size)

    def _warn_of_broken(self) -> None:
        named = "; ".join(self.broken[:_NAMED_IN_WARNING])
        others = len(self.broken) - _NAMED_IN_WARNING
        _logger.warning(
            "%d of %d photographs are broken and left out: %s%s (mended files are noticed; delete %s to try all again)",
            len(self.broken),
            len(self.broken) + len(self),
            named,
            f"; and {others} more" if others > 0 else "",
            self.cache_file,
        )


def _require_few_broken(broken: list[str], count: int, largest_share: float) -> None:
    share = len(broken) / count
    if broken and (share > largest_share or share == 1):
        # Rounded up: a setting just below the share would not do.
        enough = math.ceil(1000 * share) / 1000
        leave_out = f", or have them left out by setting largest_broken_share to {enough:g} (now {largest_share:g})"
        raise PreparationError(
            f"{len(broken)} of {count} photographs cannot be prepared; mend or remove them"
            f"{leave_out if share < 1 else ''}:\n  " + "\n  ".join(broken),
            broken,
        )


def _require_one_kind(channels_by_name: list[tuple[str, int]]) -> None:
    grey = [name for name, channels in channels_by_name if channels == 1]
    if len(grey) not in (0, len(channels_by_name)):
        raise PreparationError(
            f"{len(grey)} of {len(channels_by_name)} photographs are grey, the others RGB; use two data sets, "
            "or convert these:\n  " + "\n  ".join(grey)
        )


def _fingerprint(dataset: datasets.Dataset, columns: list[str], arguments: dict[str, Any]) -> str:
    """Identity of what preparation computes, as 32 hexadecimal digits.

    The data set's own fingerprint covers paths but not the files: an image that was replaced must be prepared anew.
    """
    digest = hashlib.sha256(json.dumps([_FORMAT_VERSION, dataset._fingerprint, arguments]).encode())
    for column in columns:
        # Reading whole rows would copy the bytes of every photograph.
        paths = pyarrow.compute.struct_field(dataset.data.column(column), "path")
        if dataset._indices is not None:
            paths = paths.take(dataset._indices.column(0))
        for path in paths.to_pylist():
            if path and Path(path).is_file():
                status = Path(path).stat()
                digest.update(json.dumps([path, status.st_size, status.st_mtime_ns]).encode())
    return digest.hexdigest()[:32]


def _prepare_row(
    row: dict[str, Any],
    index: int,
    *,
    size: int,
    image_column: str,
    companion_column: str | None,
    field_of_view: FieldOfViewShape,
) -> dict[str, Any]:
    """One row of `_FEATURES`. An error becomes a value, so that one run finds all of them."""
    name = row_name(row[image_column] or {}, image_column, index)
    prepared = dict.fromkeys(_FEATURES) | {"name": name}
    try:
        photograph = row_photograph(row[image_column], image_column, index)
        crop = find_crop(photograph, name, mask=None, field_of_view=field_of_view)
        square = cut_and_resize(photograph.pixels, crop, size, name)
        prepared["image"] = _stored(square.image, photograph.bit_depth)
        prepared["mask"] = np.packbits(square.mask).tobytes()
        if companion_column is not None:
            companion = row_photograph(row[companion_column], companion_column, index)
            companion_name = row_name(row[companion_column], companion_column, index)
            require_same_frame(companion, companion_name, photograph, name)
            square = cut_and_resize(companion.pixels, crop, size, companion_name)
            prepared["companion"] = _stored(square.image, companion.bit_depth)
            prepared["companion_bit_depth"] = companion.bit_depth
    except RetinaAdaptError as error:
        return prepared | {"error": str(error)}
    return prepared | {"channels": photograph.pixels.shape[2], "bit_depth": photograph.bit_depth}


def _stored(image: np.ndarray, bit_depth: int) -> bytes:
    levels = np.rint(image * (2**bit_depth - 1))
    return levels.astype(np.uint8 if bit_depth == 8 else np.uint16).tobytes()
