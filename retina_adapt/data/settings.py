"""Where photographs and pairs come from, as a configuration says it."""

from dataclasses import dataclass, field

import datasets

from retina_adapt.data.augmentation import Flips
from retina_adapt.data.pairs import (
    DegradedPairs,
    PairingError,
    RealPairs,
    degraded_pairs,
    paired_columns,
    paired_folders,
)
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


@dataclass
class PairSource:
    """Pairs of a low-quality and a clear photograph, given in one of three ways.

    Args:
        clear: clear photographs, degraded anew for every draw by the preset `degradation`.
        degradation: name of a degradation preset; for `clear` only.
        severity: lowest and highest severity in [0, 1]; null is the preset's own range. For `clear` only.
        clear_share: how often, in [0, 1], a photograph of `clear` is not degraded, so that an adaptor learns to leave
            clear photographs as they are.
        rows: a data set that holds both photographs of a pair in two columns.
        low_column: column of the low-quality photographs, for `rows`.
        high_column: column of the clear photographs, for `rows`.
        low_folder: folder of low-quality photographs, whose partners in `high_folder` have the same names.
        high_folder: folder of clear photographs.
        largest_broken_share: share of the pairs, in [0, 1], that may be broken and are then left out with a warning;
            more are an error. 0 takes any broken photograph for an error.
    """

    clear: list[PhotographSource] = field(default_factory=list)
    degradation: str | None = None
    severity: list[float] | None = None
    clear_share: float = 0.0
    rows: PhotographSource | None = None
    low_column: str = "low"
    high_column: str = "high"
    low_folder: str | None = None
    high_folder: str | None = None
    largest_broken_share: float = 0.05


def open_pairs(source: PairSource, size: int, *, flips: Flips | None = None) -> DegradedPairs | RealPairs:
    """The pairs of a source, as squares of `size` pixels.

    Raises:
        PairingError: the source is given in no way, in more than one, or incompletely.
        DataSourceError, PreparationError and others: see `degraded_pairs`, `paired_columns`, `paired_folders`.
    """
    ways = [bool(source.clear), source.rows is not None, bool(source.low_folder or source.high_folder)]
    if sum(ways) != 1:
        raise PairingError(
            "give pairs in exactly one way: clear photographs with a degradation, rows with two columns, or "
            f"low_folder and high_folder; here {sum(ways)} are given"
        )
    share = source.largest_broken_share
    if source.clear:
        if source.degradation is None:
            raise PairingError("clear photographs become pairs by a degradation: name a preset")
        severity = None if source.severity is None else (source.severity[0], source.severity[-1])
        return degraded_pairs(
            open_sources(source.clear),
            size,
            preset=source.degradation,
            severity=severity,
            flips=flips,
            clear_share=source.clear_share,
            largest_broken_share=share,
        )
    if source.rows is not None:
        rows = _open(source.rows)
        return paired_columns(
            rows, source.low_column, source.high_column, size, flips=flips, largest_broken_share=share
        )
    if not (source.low_folder and source.high_folder):
        raise PairingError("low_folder and high_folder go together: give both")
    return paired_folders(source.low_folder, source.high_folder, size, flips=flips, largest_broken_share=share)


def open_sources(sources: list[PhotographSource], image_column: str = "image") -> datasets.Dataset:
    """The photographs of all sources, one after the other, as rows with one undecoded image column "image".

    Raises:
        DataSourceError: no source is given, or one cannot be opened.
        MissingColumnError: a source has no such column.
    """
    if not sources:
        raise DataSourceError("no source of photographs is given; name at least one folder, file or Hub data set")
    parts = []
    for source in sources:
        rows = _open(source)
        rows = as_undecoded_images(rows, image_column).select_columns([image_column])
        parts.append(rows if image_column == "image" else rows.rename_column(image_column, "image"))
    return datasets.concatenate_datasets(parts)


def _open(source: PhotographSource) -> datasets.Dataset:
    return load_images(
        source.path,
        split=source.split,
        revision=source.revision,
        where=source.where or None,
        limit=source.limit,
        seed=source.limit_seed,
    )
