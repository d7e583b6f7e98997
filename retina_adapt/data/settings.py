"""Where photographs and pairs come from, as a configuration says it."""

from dataclasses import dataclass, field

from retina_adapt.imaging import FieldOfViewShape


@dataclass
class PhotographSource:
    """One collection of photographs.

    Args:
        path: a folder, a Parquet or tar file or a pattern of them, or a Hub name; see `load_images`.
        split: train, validation, test, or whatever name the source has.
        where: conditions by column, each a value or [lowest, highest], e.g. {cataract_score: [0, 2.5]}.
        limit: keep this many photographs only, the first of a shuffle by `limit_seed`; null keeps all.
        limit_seed: of that shuffle.
        revision: commit, tag or branch of a Hub data set.
        streaming: read photographs one after the other instead of preparing all of them first; for training on more
            than fit on the disk. See docs/data.md.
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
    """Pairs of a low-quality and a clear photograph, given in one of three ways.

    Args:
        clear: clear photographs, degraded anew for every draw by the preset `degradation`.
        degradation: name of a degradation preset; for `clear` only.
        severity: lowest and highest severity in [0, 1]; null is the preset's own range. For `clear` only.
        clear_share: how often, in [0, 1], a photograph of `clear` is not degraded, so that an adaptor learns to leave
            clear photographs as they are.
        tone_variation: how much the tone of a photograph of `clear` varies before it is degraded, half as much in each
            channel on its own, so that an adaptor does not depend on the colours of one camera; see `Tones`. 0 takes
            photographs as they are, 0.6 is strong.
        color_variation: how much the white balance and the saturation of a photograph of `clear` vary besides. Where
            colours are among the faults (`color`, `mixed`), an adaptor else takes those of a camera that it has not
            been trained on for a fault. 0 takes them as they are, 0.6 is strong.
        rows: a data set that holds both photographs of a pair in two columns.
        low_column: column of the low-quality photographs, for `rows`.
        high_column: column of the clear photographs, for `rows`.
        low_folder: folder of low-quality photographs, whose partners in `high_folder` have the same names.
        high_folder: folder of clear photographs.
        field_of_view: where the clear photographs show tissue: auto, circle or full_frame; see `find_field_of_view`.
        largest_broken_share: share of the pairs, in [0, 1], that may be broken and are then left out with a warning;
            more are an error. 0 takes any broken photograph for an error.
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
