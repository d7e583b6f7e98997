"""Train from photographs that are read one after the other, for collections too large to download."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import datasets
import torch
from datasets.distributed import split_dataset_by_node

from retina_adapt.data.draws import Draw, seed_of
from retina_adapt.data.preparation import FieldOfViewShape, PreparedPhotograph, prepare_photograph
from retina_adapt.data.rows import as_undecoded_images, row_name, row_photograph
from retina_adapt.data.sources import shuffled_stream

Item = TypeVar("Item")


class StreamedImages(torch.utils.data.IterableDataset[Item], Generic[Item]):
    """The items of `UnpairedImages` or `DegradedPairs`, from a stream.

    Every photograph is decoded and prepared anew each time, and unlike with map-style data sets the order and
    the draws depend on the numbers of processes and workers. Choose a map-style data set where the
    photographs fit on a disk.

    Args:
        stream: rows as from `load_images(..., streaming=True)`.
        size: side of the prepared photographs in pixels.
        transform: `RandomCrop`, `WholeFrame` or `DegradePair`: makes an item from a prepared photograph and a
            draw.
        seed: of the order and the draws.
        rank, world_size: this process and the number of processes; each gets its own share of the rows.
        image_column: the images.
        field_of_view: where to look for it, see `find_field_of_view`.

    Iterating raises ImageReadError or FieldOfViewError at the first photograph that cannot be prepared.
    """

    def __init__(
        self,
        stream: datasets.IterableDataset,
        size: int,
        transform: Callable[[PreparedPhotograph, Draw], Item],
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        image_column: str = "image",
        field_of_view: FieldOfViewShape = "auto",
    ) -> None:
        stream = shuffled_stream(as_undecoded_images(stream, image_column), seed)
        self.stream = split_dataset_by_node(stream, rank=rank, world_size=world_size)
        self.size = size
        self.transform = transform
        self.seed = seed
        self.rank = rank
        self.image_column = image_column
        self.field_of_view: FieldOfViewShape = field_of_view
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and the draws of the next iteration; call it before each epoch."""
        self.epoch = epoch
        self.stream.set_epoch(epoch)

    def __iter__(self) -> Iterator[Item]:
        worker = torch.utils.data.get_worker_info()
        worker_id = 0 if worker is None else worker.id
        for position, row in enumerate(self.stream):
            value = row[self.image_column]
            photograph = row_photograph(value, self.image_column, position)
            name = row_name(value, self.image_column, position)
            prepared = prepare_photograph(photograph, name, self.size, field_of_view=self.field_of_view)
            seed = seed_of(self.seed, self.epoch, self.rank, worker_id, position)
            yield self.transform(prepared, Draw(position, seed))
