"""Where photographs come from, as a configuration says it."""

from dataclasses import dataclass, field

import datasets

from retina_adapt.data.rows import as_undecoded_images
from retina_adapt.data.sources import DataSourceError, load_images


@dataclass
class PhotographSource:
    """One collection of photographs.

    Args:
        path: a folder, a Parquet file or pattern, or a Hub name; see `load_images`.
        split: train, validation, test, or whatever name the source has.
        where: conditions by column, each a value or [lowest, highest], e.g. {cataract_score: [0, 2.5]}.
        limit: keep this many photographs only, the first of a shuffle by `limit_seed`; null keeps all.
        limit_seed: of that shuffle.
        revision: commit, tag or branch of a Hub data set.
    """

    path: str
    split: str = "train"
    where: dict[str, str | float | list[float]] = field(default_factory=dict)
    limit: int | None = None
    limit_seed: int = 0
    revision: str | None = None


def open_sources(sources: list[PhotographSource], image_column: str = "image") -> datasets.Dataset:
    """The photographs of all sources, one after the other, as rows with one undecoded image column "image".

    Raises:
        DataSourceError: no source is given, or one cannot be opened.
        MissingColumnError: a source has no such column.
    """
    if not sources:
        raise DataSourceError(
            "no source of photographs is given; name at least one folder, file or Hub data set"
        )
    parts = []
    for source in sources:
        rows = load_images(
            source.path,
            split=source.split,
            revision=source.revision,
            where=source.where or None,
            limit=source.limit,
            seed=source.limit_seed,
        )
        rows = as_undecoded_images(rows, image_column).select_columns([image_column])
        parts.append(rows if image_column == "image" else rows.rename_column(image_column, "image"))
    return datasets.concatenate_datasets(parts)
