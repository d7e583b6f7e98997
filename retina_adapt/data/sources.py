"""Open a collection of photographs, local or on the Hub, as a `datasets` data set."""

import glob
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow.compute

from retina_adapt.data.rows import AnyDataset, as_undecoded_images, require_columns
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import ImageReadError, find_photographs
from retina_adapt.imaging.photograph import DICOM_SUFFIXES

_logger = logging.getLogger(__name__)

# Said by the user, so that a mistyped or missing folder never asks the network, let alone trains on what that gives.
_HUB_PREFIX = "hub:"
_BUILDERS = {".parquet": "parquet", ".tar": "webdataset"}
_SPLIT_FOLDERS = ("train", "validation", "test")
# Number of files or subfolders that a message names.
_MOST_NAMES = 5
# Number of photographs that a streaming shuffle holds at once; they are encoded, so a few hundred MB at most.
_SHUFFLE_BUFFER = 256

Condition = str | bool | int | float | Sequence[float]
"""The value that a column must have, or the range [lowest, highest], ends included, in which it must lie."""


class DataSourceError(RetinaAdaptError):
    """A source does not exist, lacks the split, or holds nothing that meets the conditions."""


def load_images(
    source: str | Path,
    *,
    split: str = "train",
    streaming: bool = False,
    revision: str | None = None,
    where: Mapping[str, Condition] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> AnyDataset:
    """Open a folder, Parquet or tar files, or a Hub data set; images stay encoded until they are used.

    Args:
        source: one of
            - a folder with `<split>/` folders of images, each with an optional `metadata.jsonl` or `metadata.csv` whose
              rows hold `file_name` and any further columns; other folders beside the splits are ignored. Images without
              a row in the metadata, folders that are links, and DICOM objects are not read; a warning names what is
              left out, except of a stream;
            - a flat folder of images with an optional `metadata.jsonl` or `metadata.csv`: its only split is "train".
              Its subfolders, which may hold masks, are not read; a warning names them if they hold photographs;
            - a Parquet file, or a glob pattern of such files: the only split is "train";
            - a tar file in WebDataset format, or a glob pattern of such files, e.g. "shards/*.tar": the only split is
              "train"; a column is named by what follows the first dot of its files' names, and a single image column
              is renamed "image";
            - "hub:owner/name", a data set on the Hub. Only this uses the network.
        split: "train", "validation", "test", or whatever the source calls it.
        streaming: read rows one after the other instead of downloading all; gives an `IterableDataset`.
        revision: commit, tag or branch of a Hub data set. Pin a commit to make a run repeatable.
        where: conditions by column, all of which a row must meet, e.g. {"cataract_score": [0, 2.5]}. A missing value
            meets no condition.
        limit: keep only this many rows, the first of a shuffle by `seed`, so that a smaller limit gives a subset of a
            larger one.
        seed: seed of the shuffle for `limit`.

    Returns:
        Data set whose image columns (named "image" for image folders) hold undecoded {"path", "bytes"} values.

    Raises:
        DataSourceError: the source or split does not exist, too few rows meet the conditions, or `limit` is combined
            with `streaming`.
        MissingColumnError: `where` names a column that does not exist.
    """
    dataset = _undecoded(_open(source, split, streaming, revision))
    if where:
        dataset = _filter(dataset, where, source)
    if limit is not None:
        if streaming:
            raise DataSourceError(f"{source}: limit needs to see all rows; drop either limit or streaming")
        if limit > len(dataset):
            raise DataSourceError(
                f"{source}: limit is {limit}, but split {split!r} has only {len(dataset)} rows"
                + (" that meet the conditions" if where else "")
            )
        dataset = dataset.shuffle(seed=seed).select(range(limit))
    return dataset


def shuffled_stream(stream: datasets.IterableDataset, seed: int) -> datasets.IterableDataset:
    """Shuffle a stream's shards, and its rows within a buffer of 256.

    Shards are read one at a time: `datasets` reads several ahead in threads, even in forked workers, and then waits
    five seconds for them at the end of every pass over Parquet files.
    """
    return stream.shuffle(seed=seed, buffer_size=_SHUFFLE_BUFFER, max_buffer_input_shards=1)


def _open(source: str | Path, split: str, streaming: bool, revision: str | None) -> AnyDataset:
    text = str(source)
    if text.startswith(_HUB_PREFIX):
        return _open_hub(text.removeprefix(_HUB_PREFIX), split, streaming, revision)
    path = Path(source).expanduser()
    if path.is_dir():
        return _open_folder(path.resolve(), split, streaming)
    for suffix, builder in _BUILDERS.items():
        if text.endswith(suffix):
            return _open_files(path, builder, split, streaming)
    more = "" if path.is_absolute() else f" below {Path.cwd()}; one of the Hub is written {_HUB_PREFIX}owner/name"
    raise DataSourceError(f"{source}: there is no such folder, Parquet file or tar file; check the path{more}")


def _open_hub(name: str, split: str, streaming: bool, revision: str | None) -> AnyDataset:
    try:
        return datasets.load_dataset(name, split=split, streaming=streaming, revision=revision)
    except (OSError, ValueError) as error:
        raise DataSourceError(
            f"{_HUB_PREFIX}{name}: the Hub does not give it as a data set ({error}); check the name, the split and the "
            "connection"
        ) from error


def _open_folder(folder: Path, split: str, streaming: bool) -> AnyDataset:
    present = [name for name in _SPLIT_FOLDERS if (folder / name).is_dir()]
    is_flat = not (folder / split).is_dir()
    if is_flat and present:
        raise DataSourceError(f"{folder}: has no split {split!r}; its splits are: {', '.join(present)}")
    if is_flat:
        _require_train(folder, split)
    place = folder if is_flat else folder / split
    try:
        photographs = find_photographs(place)
    except ImageReadError:
        # There may be images that `datasets` reads and this package does not.
        photographs = []
    if is_flat:
        photographs = _without_subfolders(place, photographs)
    if photographs and all(path.suffix.lower() in DICOM_SUFFIXES for path in photographs):
        raise DataSourceError(
            f"{place}: holds DICOM objects alone, which are read from the two folders of real pairs only; write these "
            "photographs as PNG, with read_photograph and write_photograph of retina_adapt.imaging"
        )
    pattern = f"{glob.escape(str(place))}/{'*' if is_flat else '**'}"
    try:
        dataset = datasets.load_dataset("imagefolder", data_files={split: [pattern]}, split=split, streaming=streaming)
    except (OSError, ValueError, datasets.exceptions.DatasetGenerationError) as error:
        reason = error.__cause__ or error
        raise DataSourceError(
            f"{folder}: cannot be opened as an image folder ({reason}); it should hold images, or folders "
            f"{', '.join(_SPLIT_FOLDERS)} of images, each with at most one metadata.jsonl or comma-separated "
            "metadata.csv, whose file_name is an image's name with its suffix"
        ) from error
    if isinstance(dataset, datasets.Dataset):
        _tell_of_unread(place, photographs, dataset)
    return dataset


def _without_subfolders(folder: Path, photographs: list[Path]) -> list[Path]:
    """The photographs in a flat folder itself; warn of those in its subfolders, or refuse it if it has no others."""
    inside = [path for path in photographs if path.parent == folder]
    below = sorted({path.relative_to(folder).parts[0] for path in photographs if path.parent != folder})
    if not below:
        return inside
    if not inside:
        raise DataSourceError(
            f"{folder}: holds photographs only in subfolders ({_some(below)}), which are not read; move them into the "
            "folder itself, or everything in it into a folder 'train', which is searched with its subfolders"
        )
    _logger.warning(
        "%s: the photographs in its subfolders (%s) are not read; a folder 'train' is searched with its subfolders",
        folder,
        _some(below),
    )
    return inside


def _tell_of_unread(folder: Path, photographs: list[Path], dataset: datasets.Dataset) -> None:
    """Warn of photographs that no row has: `datasets` passes over them in silence."""
    read: set[str] = set()
    for column, feature in dataset.features.items():
        if isinstance(feature, datasets.Image):
            read.update(pyarrow.compute.struct_field(dataset.data.column(column), "path").to_pylist())
    unread = [str(path.relative_to(folder)) for path in photographs if str(path) not in read]
    if unread:
        _logger.warning(
            "%s: %d of its photographs are left out (%s), since they are DICOM, lie in a folder that is a link, or "
            "have no row in the metadata",
            folder,
            len(unread),
            _some(unread),
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")


def _open_files(path: Path, builder: str, split: str, streaming: bool) -> AnyDataset:
    _require_train(path, split)
    pattern = glob.escape(str(path)) if path.is_file() else str(path)
    if not any(glob.iglob(pattern, recursive=True)):  # noqa: PTH207 - `Path.glob` takes no absolute pattern
        raise DataSourceError(f"{path}: there is no such file, and none that it matches as a pattern; check the path")
    try:
        dataset = datasets.load_dataset(builder, data_files={split: [pattern]}, split=split, streaming=streaming)
    except (OSError, ValueError, datasets.exceptions.DatasetGenerationError) as error:
        raise DataSourceError(f"{path}: cannot be opened as {builder} ({error.__cause__ or error})") from error
    images = [name for name, feature in (dataset.features or {}).items() if isinstance(feature, datasets.Image)]
    if builder == "webdataset" and len(images) == 1:
        dataset = dataset.rename_column(images[0], "image")
    return dataset


def _require_train(source: Path, split: str) -> None:
    if split != "train":
        raise DataSourceError(
            f"{source}: has no splits, so all of it is 'train' and there is no {split!r}; make split folders, "
            "or divide it with retina_adapt.data.split_by_patient"
        )


def _undecoded(dataset: AnyDataset) -> AnyDataset:
    """Keep all image columns encoded, including those of Parquet files without the annotations of `datasets`."""
    features = dataset.features or {}
    columns = [
        column
        for column, feature in features.items()
        if isinstance(feature, datasets.Image) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})
    ]
    return as_undecoded_images(dataset, *columns)


def _filter(dataset: AnyDataset, where: Mapping[str, Condition], source: str | Path) -> AnyDataset:
    require_columns(dataset, *where)
    for column, condition in where.items():
        if isinstance(condition, Sequence) and not isinstance(condition, str):
            if len(condition) != 2 or not all(isinstance(end, int | float) for end in condition):
                raise DataSourceError(
                    f"{source}: condition {condition!r} for {column!r} is neither a value nor [lowest, highest]"
                )
            condition = tuple(condition)
        dataset = dataset.filter(_meets, input_columns=[column], fn_kwargs={"condition": condition})
    if isinstance(dataset, datasets.Dataset) and len(dataset) == 0:
        raise DataSourceError(f"{source}: no row meets the conditions {dict(where)}; check the columns' values")
    return dataset


def _meets(value: Any, condition: Condition) -> bool:
    if isinstance(condition, tuple):
        return isinstance(value, int | float) and condition[0] <= value <= condition[1]
    return value is not None and value == condition
