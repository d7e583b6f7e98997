"""Sources of photographs and pairs, as a configuration gives them."""

from dataclasses import dataclass, field

from retina_adapt.imaging import FieldOfViewShape


@dataclass
class PhotographSource:
    """One collection of photographs.

    Args:
        path: a folder, a Parquet or tar file, a pattern of such files, or hub:owner/name; see `load_images`.
        split: train, validation, test, or whatever the source calls it.
        where: conditions by column, each a value or [lowest, highest], e.g. {cataract_score: [0, 2.5]}.
        limit: keep only this many photographs, the first of a shuffle by `limit_seed`; null keeps all.
        limit_seed: seed of that shuffle.
        revision: commit, tag or branch of a Hub data set.
        streaming: read photographs one after the other instead of preparing all of them first, to train on more than
            fit on the disk; see docs/data.md.
    """

    path: str
    split: str = "train"
    where: dict[str, str | bool | float | list[float]] = field(default_factory=dict)
    limit: int | None = None
    limit_seed: int = 0
    revision: str | None = None
    streaming: bool = False


@dataclass
class PairSource:
    """Pairs of a low-quality and a clear photograph, given by one of `clear`, `rows` and the two folders.

    Args:
        clear: clear photographs, degraded anew for every draw by the preset `degradation`.
        degradation: name of a degradation preset; for `clear` only.
        severity: lowest and highest severity, in [0, 1]; null takes the preset's own range. For `clear` only.
        clear_share: probability, in [0, 1], that a photograph of `clear` is not degraded, so that an adaptor learns to
            leave clear photographs as they are.
        tone_variation: how much the tone of a photograph of `clear` varies before it is degraded, with half as much
            variation in each channel separately, so that an adaptor does not depend on the colours of one camera; see
            `Tones`. 0 takes photographs as they are, 0.6 is strong.
        color_variation: how much the white balance and the saturation of a photograph of `clear` vary as well. Without
            it, where colour is among the faults (`color`, `mixed`), an adaptor mistakes the colours of a camera it was
            not trained on for a fault. 0 takes them as they are, 0.6 is strong.
        rows: a data set with the two photographs of a pair in two columns.
        low_column: column of the low-quality photographs, for `rows`.
        high_column: column of the clear photographs, for `rows`.
        low_folder: folder of low-quality photographs, named like their partners in `high_folder`.
        high_folder: folder of clear photographs.
        field_of_view: where the clear photographs show tissue: auto, circle or full_frame; see `find_field_of_view`.
        largest_broken_share: share of the pairs, in [0, 1], that may be broken; these are left out with a warning, more
            are an error. At 0, any broken photograph is an error.
    """

    clear: list[PhotographSource] = field(default_factory=list)
    degradation: str | None = None
    severity: list[float] | None = None
    clear_share: float = 0.0
    tone_variation: float = 0.0
    color_variation: float = 0.0
    rows: PhotographSource | None = None
    low_column: str = "low"
    high_column: str = "high"
    low_folder: str | None = None
    high_folder: str | None = None
    field_of_view: FieldOfViewShape = "auto"
    largest_broken_share: float = 0.05
