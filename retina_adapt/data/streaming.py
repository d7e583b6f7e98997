"""Stream photographs for training, from collections too large to prepare or to list."""

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import count, islice, zip_longest
from typing import Any, Generic, TypeVar

import datasets
import torch

from retina_adapt.data.draws import Draw, seed_of
from retina_adapt.data.preparation import (
    PreparationError,
    PreparedPhotograph,
    cut_and_resize,
    find_crop,
    require_same_frame,
    require_share,
)
from retina_adapt.data.rows import as_undecoded_images, row_bytes, row_name
from retina_adapt.data.sources import DataSourceError, shuffled_stream
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import FieldOfViewShape, decode_photograph

_logger = logging.getLogger(__name__)
Item = TypeVar("Item")

# The share of broken photographs is taken of at least this many, since the very first may be broken.
_FEWEST_FOR_A_SHARE = 100


class StreamedImages(Generic[Item]):
    """Photographs, or pairs, that are read, decoded and prepared when their turn comes.

    Nothing is listed or stored: opening reads the shards' names, and a worker holds a buffer of encoded rows. An epoch
    holds every photograph exactly once, whatever the numbers of processes and workers. What is drawn for a photograph
    in an epoch (crop, flips, degradation) is a function of the seed, the epoch and the photograph's bytes; it does not
    depend on these numbers either, but the order does.

    Prefer a map-style data set if the photographs fit on a disk.

    Args:
        streams: rows as from `load_images(..., streaming=True)`; several take turns until each is used up.
        size: side of the prepared photographs in pixels.
        transform: makes an item from a prepared photograph and a draw (`RandomCrop`, `WholeFrame`, `DegradePair`), or,
            with a companion column, from the photograph, its companion and a draw (`MirrorPair`).
        image_column: the images in which to look for the field of view.
        companion_column: images of the same eye and frame size, cut by the same square.
        field_of_view: where to look for it, see `find_field_of_view`.
        largest_broken_share: share of the photographs, in [0, 1], that may be broken; a warning names each, and the
            next whole photograph is drawn once more in its place. At 0, any broken photograph is an error.

    Raises:
        MissingColumnError: a column does not exist.
        PreparationError: `largest_broken_share` is out of range.
    """

    def __init__(
        self,
        streams: Sequence[datasets.IterableDataset],
        size: int,
        transform: Callable[..., Item],
        *,
        image_column: str = "image",
        companion_column: str | None = None,
        field_of_view: FieldOfViewShape = "auto",
        largest_broken_share: float = 0.0,
    ) -> None:
        require_share(largest_broken_share)
        self.columns = [column for column in (image_column, companion_column) if column is not None]
        self.streams = [as_undecoded_images(stream, *self.columns).select_columns(self.columns) for stream in streams]
        self.size = size
        self.transform = transform
        self.field_of_view: FieldOfViewShape = field_of_view
        self.largest_broken_share = largest_broken_share

    def with_transform(self, transform: Callable[..., Item]) -> "StreamedImages[Item]":
        """The same photographs, made into items by another transform."""
        changed = copy(self)
        changed.transform = transform
        return changed

    def share(
        self,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        batch_size: int = 1,
        first_batch: int = 0,
        epochs: int | None = None,
    ) -> "StreamShare[Item]":
        """The items of one process, for a `DataLoader` with this `batch_size`.

        Args:
            seed: seed of the order and the draws.
            rank, world_size: this process and the number of processes.
            batch_size: items per batch, for `first_batch`.
            first_batch: number of batches already done, when a run resumes; their rows are read again but not decoded.
            epochs: number of passes over all photographs; None never ends.
        """
        return StreamShare(self, seed, rank, world_size, batch_size, first_batch, epochs)

    def rows(self, seed: int, epoch: int, consumer: int, consumers: int) -> Iterator[dict[str, Any]]:
        """The undecoded rows of one of the `consumers`, which together get each row of the epoch once.

        A consumer gets whole shards of a stream that has enough for everyone; otherwise it reads all shards and takes
        every `consumers`-th row.
        """
        # Not `datasets.interleave_datasets`, which reads ahead in threads: see `shuffled_stream`.
        shares = [_share_of(stream, seed_of(seed, epoch), consumer, consumers) for stream in self.streams]
        for turn in zip_longest(*shares):
            yield from (row for row in turn if row is not None)

    def prepare(self, row: dict[str, Any], number: int) -> tuple[int, list[PreparedPhotograph]]:
        """The identity of a row, from its bytes, and its prepared photographs, the clear one of a pair first.

        Raises:
            ImageReadError, FieldOfViewError, PreparationError: a photograph cannot be read or prepared.
        """
        crop, frame, identity, prepared = None, "", 0, []
        for column in self.columns:
            name = row_name(row[column] or {}, column, number)
            encoded = row_bytes(row[column], column, number)
            photograph = decode_photograph(encoded, name)
            if crop is None:
                identity, frame, first = zlib.crc32(encoded), name, photograph
                crop = find_crop(photograph, name, mask=None, field_of_view=self.field_of_view)
            else:
                require_same_frame(photograph, name, first, frame)
            prepared.append(cut_and_resize(photograph.pixels, crop, self.size, name))
        return identity, prepared


def _share_of(stream: datasets.IterableDataset, seed: int, consumer: int, consumers: int) -> Iterator[dict[str, Any]]:
    """One consumer's rows of one stream."""
    shuffled = shuffled_stream(stream, seed)
    # `iter`, not `__iter__`, which would share the rows out among a DataLoader's workers a second time.
    if shuffled.num_shards >= consumers:
        batches = shuffled.shard(consumers, consumer, contiguous=False).iter(batch_size=1)
    else:
        batches = islice(shuffled.iter(batch_size=1), consumer, None, consumers)
    for batch in batches:
        yield {column: values[0] for column, values in batch.items()}


class StreamShare(torch.utils.data.IterableDataset[Item], Generic[Item]):
    """One process's share of `StreamedImages`, divided further among its workers; see `StreamedImages.share`.

    Iterating raises PreparationError if more photographs are broken than allowed, if all of an epoch's are, or if some
    are grey and others in colour; and, without a number of epochs, DataSourceError if a worker gets no photograph.
    """

    def __init__(
        self,
        images: StreamedImages[Item],
        seed: int,
        rank: int,
        world_size: int,
        batch_size: int,
        first_batch: int,
        epochs: int | None,
    ) -> None:
        self.images = images
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.batch_size = batch_size
        self.first_batch = first_batch
        self.epochs = epochs

    def __iter__(self) -> Iterator[Item]:
        worker = torch.utils.data.get_worker_info()
        workers, worker_id = (1, 0) if worker is None else (worker.num_workers, worker.id)
        # A DataLoader takes batches from its workers in turn, starting with worker 0: when a run resumes, worker 0
        # continues the share of the worker whose turn it was.
        turn = (self.first_batch + worker_id) % workers
        batches_done = (self.first_batch - turn + workers - 1) // workers
        return self._items(self.rank * workers + turn, self.world_size * workers, batches_done * self.batch_size)

    def _items(self, consumer: int, consumers: int, first: int) -> Iterator[Item]:
        """The items from number `first` on. Item k comes from row k or, if that is broken, from the next whole row."""
        read = tried = waiting = 0
        broken: list[str] = []
        shape: tuple[int, ...] = ()
        for epoch in count() if self.epochs is None else range(self.epochs):
            tried_before, broken_before = tried, len(broken)
            for row in self.images.rows(self.seed, epoch, consumer, consumers):
                read += 1
                if read <= first:
                    continue
                tried += 1
                try:
                    identity, photographs = self.images.prepare(row, read - 1)
                except RetinaAdaptError as error:
                    broken.append(str(error))
                    self._require_few(broken, tried)
                    waiting += 1
                    continue
                shape = shape or photographs[0].image.shape
                self._require_one_kind(photographs, shape, row, read - 1)
                for stand_in in range(waiting, -1, -1):
                    draw = Draw(identity, seed_of(self.seed, epoch, identity, stand_in))
                    yield self.images.transform(*photographs, draw)
                waiting = 0
            if tried > tried_before and tried - tried_before == len(broken) - broken_before:
                raise PreparationError(
                    f"none of {tried - tried_before} streamed photographs can be prepared; mend or replace them:\n  "
                    + "\n  ".join(broken[broken_before:])
                )
            if read == 0 and self.epochs is None:
                raise DataSourceError(
                    f"worker {consumer} of {consumers} gets no photograph: the stream has fewer photographs "
                    "than workers, or none that meets the conditions; use fewer workers, or a map-style data set"
                )

    def _require_one_kind(
        self, photographs: list[PreparedPhotograph], shape: tuple[int, ...], row: dict[str, Any], number: int
    ) -> None:
        for column, photograph in zip(self.images.columns, photographs, strict=True):
            if photograph.image.shape != shape:
                name = row_name(row[column], column, number)
                raise PreparationError(
                    f"{name}: number of channels: {photograph.image.shape[2]}, of those before it: {shape[2]}; use two "
                    "data sets, or convert grey photographs to RGB"
                )

    def _require_few(self, broken: list[str], tried: int) -> None:
        share = self.images.largest_broken_share
        if len(broken) > share * max(tried, _FEWEST_FOR_A_SHARE):
            raise PreparationError(
                f"{len(broken)} of {tried} streamed photographs cannot be prepared; mend or remove them, or let a "
                f"larger share be broken by raising largest_broken_share (now {share:g}):\n  " + "\n  ".join(broken)
            )
        _logger.warning("broken and replaced by the next photograph: %s", broken[-1])
