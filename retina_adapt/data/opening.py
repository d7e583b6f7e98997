"""Open the photographs and pairs of the sources that a configuration names."""

from collections.abc import Callable
from typing import Any

import datasets

from retina_adapt.data.augmentation import Flips, Tones
from retina_adapt.data.draws import Draw
from retina_adapt.data.folder_pairs import PairingError, require_two_folders
from retina_adapt.data.pairs import (
    DegradedPairs,
    DegradePair,
    MirrorPair,
    PairItem,
    RealPairs,
    degraded_pairs,
    paired_columns,
    paired_folders,
)
from retina_adapt.data.preparation import PreparedPhotograph
from retina_adapt.data.prepared_photographs import PreparedPhotographs
from retina_adapt.data.rows import AnyDataset, as_undecoded_images
from retina_adapt.data.settings import PairSource, PhotographSource
from retina_adapt.data.sources import DataSourceError, load_images
from retina_adapt.data.streaming import StreamedImages
from retina_adapt.data.unpaired import ImageItem, UnpairedImages


def open_pairs(source: PairSource, size: int, *, flips: Flips | None = None) -> DegradedPairs | RealPairs:
    """The pairs of a source, as squares of `size` pixels.

    Raises:
        PairingError: the source is given in no way, in more than one, or incompletely.
        DataSourceError: the source streams, or cannot be opened.
        PreparationError and others: see `degraded_pairs`, `paired_columns`, `paired_folders`.
    """
    _require_one_way(source)
    preparation = _preparation(source)
    if source.clear:
        return degraded_pairs(
            open_sources(source.clear),
            size,
            preset=source.degradation or "",
            severity=_severity(source),
            flips=flips,
            clear_share=source.clear_share,
            tones=_tones(source),
            **preparation,
        )
    if source.rows is not None:
        _require_positions([source.rows])
        rows = _open(source.rows)
        return paired_columns(rows, source.low_column, source.high_column, size, flips=flips, **preparation)
    return paired_folders(source.low_folder or "", source.high_folder or "", size, flips=flips, **preparation)


def open_training_pairs(
    source: PairSource, size: int, *, flips: Flips | None = None
) -> DegradedPairs | RealPairs | StreamedImages[PairItem]:
    """Like `open_pairs`, but a stream where the source asks for one."""
    _require_one_way(source)
    preparation = _preparation(source)
    if source.clear and _streams(source.clear):
        degrade = DegradePair(source.degradation or "", _severity(source), flips, source.clear_share, _tones(source))
        return StreamedImages(_parts(source.clear), size, degrade, **preparation)
    if source.rows is not None and source.rows.streaming:
        return StreamedImages(
            [_open(source.rows)],
            size,
            MirrorPair(flips),
            image_column=source.high_column,
            companion_column=source.low_column,
            **preparation,
        )
    return open_pairs(source, size, flips=flips)


def open_training_images(
    sources: list[PhotographSource],
    size: int,
    transform: Callable[[PreparedPhotograph, Draw], ImageItem],
    *,
    largest_broken_share: float = 0.0,
) -> UnpairedImages | StreamedImages[ImageItem]:
    """Unpaired photographs of all sources, as squares of `size` pixels; a stream where the sources ask for one.

    Raises:
        DataSourceError, MissingColumnError, PreparationError: see `open_sources` and `PreparedPhotographs`.
    """
    if _streams(sources):
        return StreamedImages(_parts(sources), size, transform, largest_broken_share=largest_broken_share)
    prepared = PreparedPhotographs(open_sources(sources), size, largest_broken_share=largest_broken_share)
    return UnpairedImages(prepared, transform)


def open_sources(sources: list[PhotographSource]) -> datasets.Dataset:
    """The photographs of all sources, one after the other, as rows with one undecoded image column "image".

    Raises:
        DataSourceError: no source is given, one streams, or one cannot be opened.
        MissingColumnError: a source has no such column.
    """
    _require_positions(sources)
    return datasets.concatenate_datasets(_parts(sources))


def _require_one_way(source: PairSource) -> None:
    ways = [bool(source.clear), source.rows is not None, bool(source.low_folder or source.high_folder)]
    if sum(ways) != 1:
        raise PairingError(
            "give pairs in exactly one way: clear photographs with a degradation, rows with two columns, or "
            f"low_folder and high_folder; a configuration's file and its overrides together give {sum(ways)}"
        )
    if not source.clear:
        of_clear = ("degradation", "severity", "clear_share", "tone_variation", "color_variation")
        given = [name for name in of_clear if getattr(source, name) != getattr(PairSource(), name)]
        if given:
            raise PairingError(f"{', '.join(given)}: for photographs of `clear` only; real pairs stay as they are")
    if source.rows is None:
        given = [name for name in ("low_column", "high_column") if getattr(source, name) != getattr(PairSource(), name)]
        if given:
            raise PairingError(f"{', '.join(given)}: for `rows` only, whose columns they name")
    if source.clear and source.degradation is None:
        raise PairingError("clear photographs become pairs by a degradation; name a preset")
    if bool(source.low_folder) != bool(source.high_folder):
        raise PairingError("low_folder and high_folder go together; give both")
    if source.low_folder and source.high_folder:
        require_two_folders(source.low_folder, source.high_folder)


def _preparation(source: PairSource) -> dict[str, Any]:
    return {"field_of_view": source.field_of_view, "largest_broken_share": source.largest_broken_share}


def _severity(source: PairSource) -> tuple[float, float] | None:
    if source.severity is None:
        return None
    if len(source.severity) != 2:
        raise PairingError(
            f"severity is {source.severity}; give the lowest and the highest, [0.5, 0.5] for a single one"
        )
    lowest, highest = source.severity
    return lowest, highest


def _tones(source: PairSource) -> Tones | None:
    tone, color = source.tone_variation, source.color_variation
    for name in ("tone_variation", "color_variation"):
        if getattr(source, name) < 0:
            raise PairingError(f"{name} is {getattr(source, name)}; it must be 0 or more")
    return Tones(tone, tone / 2, balance=0.75 * color, saturation=color) if tone or color else None


def _require_positions(sources: list[PhotographSource]) -> None:
    if _streams(sources):
        raise DataSourceError(
            f"{sources[0].path}: is streamed, but validation, latent caches and measurements need photographs with "
            "positions; set streaming to false here"
        )


def _streams(sources: list[PhotographSource]) -> bool:
    if not sources:
        raise DataSourceError("no source of photographs is given; name at least one folder, file or Hub data set")
    streaming = {source.streaming for source in sources}
    if len(streaming) > 1:
        raise DataSourceError(
            f"{', '.join(source.path for source in sources if not source.streaming)}: not streamed, but other "
            "sources are; give all of them the same value of streaming"
        )
    return streaming == {True}


def _parts(sources: list[PhotographSource]) -> list[AnyDataset]:
    return [as_undecoded_images(_open(source), "image").select_columns(["image"]) for source in sources]


def _open(source: PhotographSource) -> AnyDataset:
    return load_images(
        source.path,
        split=source.split,
        streaming=source.streaming,
        revision=source.revision,
        where=source.where or None,
        limit=source.limit,
        seed=source.limit_seed,
    )
