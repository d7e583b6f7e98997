"""Pairs of a low-quality and a clear photograph of the same eye: three ways to get them, one kind of item.

Real pairs come from two columns of a data set or from two folders; degraded pairs are made on the fly from clear
photographs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import datasets
import numpy as np
import torch

from retina_adapt.data.augmentation import Flips, Tones
from retina_adapt.data.draws import Draw, random_generator, require_draw
from retina_adapt.data.folder_pairs import PairingError, pair_files
from retina_adapt.data.preparation import PreparedPhotograph, mirror_outside
from retina_adapt.data.prepared_photographs import PreparedPhotographs
from retina_adapt.data.tensors import image_tensor, integer_tensor, mask_tensor
from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.imaging import FieldOfViewShape


class PairItem(TypedDict):
    """One pair, S pixels a side.

    Keys:
        low, high: the degraded and the clear image, float32 (C, S, S) in [0, 1].
        mask: field of view of both, bool (1, S, S).
        index, seed: the draw, int64 scalars.
    """

    low: torch.Tensor
    high: torch.Tensor
    mask: torch.Tensor
    index: torch.Tensor
    seed: torch.Tensor


@dataclass(frozen=True)
class DegradePair:
    """Make a pair from one clear photograph; everything random comes from the seed of a `Draw`.

    Attributes:
        preset: a name from `retina_adapt.degradations.preset_names()`.
        severity: lowest and highest severity, drawn uniformly between them; None takes the preset's own range.
        flips: random mirroring; None leaves pairs as they are.
        clear_share: how often, in [0, 1], the photograph is not degraded at all, so that an adaptor trained on the
            pairs learns to leave a clear photograph as it is.
        tones: random changes of the photograph's tone and colours before it is degraded, so that an adaptor trained on
            the pairs does not depend on those of one camera; None takes the photograph as it is.

    Raises:
        UnknownPresetError, SeverityError, PairingError: an unknown preset, a severity or a `clear_share` out of range;
            raised at construction, not in the middle of a training run.
    """

    preset: str
    severity: tuple[float, float] | None = None
    flips: Flips | None = None
    clear_share: float = 0.0
    tones: Tones | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.clear_share <= 1.0:
            raise PairingError(f"clear_share is {self.clear_share}; it must lie in [0, 1]")
        for severity in self.severity or (None,):
            draw_degradation(self.preset, seed=0, severity=severity)

    def __call__(self, photograph: PreparedPhotograph, draw: Draw) -> PairItem:
        """The pair made from a clear photograph."""
        high = photograph.image if self.tones is None else self.tones.apply(draw.seed, photograph.image)
        if random_generator(draw.seed, "clear").random() < self.clear_share:
            return _pair_item(high, high, photograph.mask, draw, self.flips)
        drawn = draw_degradation(self.preset, seed=draw.seed, severity=self._severity(draw.seed))
        low = mirror_outside(apply_degradation(high, photograph.mask, drawn), photograph.mask)
        return _pair_item(low, high, photograph.mask, draw, self.flips)

    def _severity(self, seed: int) -> float | None:
        if self.severity is None:
            return None
        lowest, highest = self.severity
        return lowest + (highest - lowest) * float(random_generator(seed, "severity").random())


@dataclass(frozen=True)
class MirrorPair:
    """Make the item of a real pair; the transform for streamed pairs.

    Attributes:
        flips: random mirroring of both photographs alike; None leaves them as they are.
    """

    flips: Flips | None = None

    def __call__(self, high: PreparedPhotograph, low: PreparedPhotograph, draw: Draw) -> PairItem:
        """The item made from a clear photograph and its low-quality partner."""
        return _pair_item(low.image, high.image, high.mask, draw, self.flips)


class DegradedPairs(torch.utils.data.Dataset[PairItem]):
    """Clear photographs and their degraded versions; equal draws give equal items."""

    def __init__(self, prepared: PreparedPhotographs, degrade: DegradePair) -> None:
        self.prepared = prepared
        self.degrade = degrade

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, draw: Draw) -> PairItem:
        require_draw(draw)
        return self.degrade(self.prepared[draw.index], draw)


class RealPairs(torch.utils.data.Dataset[PairItem]):
    """Pairs that a camera took: the image of `prepared` is the clear photograph, its companion the low-quality one."""

    def __init__(self, prepared: PreparedPhotographs, flips: Flips | None) -> None:
        self.prepared = prepared
        self.flips = flips

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, draw: Draw) -> PairItem:
        require_draw(draw)
        return MirrorPair(self.flips)(*self.prepared.with_companion(draw.index), draw)


def degraded_pairs(
    clear: datasets.Dataset,
    size: int,
    *,
    preset: str,
    severity: tuple[float, float] | None = None,
    flips: Flips | None = None,
    clear_share: float = 0.0,
    tones: Tones | None = None,
    field_of_view: FieldOfViewShape = "auto",
    largest_broken_share: float = 0.0,
) -> DegradedPairs:
    """Pairs made from clear photographs, which are degraded anew for every draw.

    Args:
        clear: rows with an "image" column, as from `load_images`.
        size: side of the images in pixels.
        preset, severity, flips, clear_share, tones: see `DegradePair`.
        field_of_view: where to look for it, see `find_field_of_view`.
        largest_broken_share: see `PreparedPhotographs`.

    Raises:
        UnknownPresetError, SeverityError, PairingError: see `DegradePair`.
        PreparationError: more photographs are broken than allowed.
    """
    degrade = DegradePair(preset, severity, flips, clear_share, tones)
    prepared = PreparedPhotographs(clear, size, field_of_view=field_of_view, largest_broken_share=largest_broken_share)
    return DegradedPairs(prepared, degrade)


def paired_columns(
    dataset: datasets.Dataset,
    low_column: str,
    high_column: str,
    size: int,
    *,
    flips: Flips | None = None,
    field_of_view: FieldOfViewShape = "auto",
    largest_broken_share: float = 0.0,
) -> RealPairs:
    """Pairs from two image columns; both images are cut by the square around the clear one's field of view.

    Args:
        dataset: rows with both images, of the same height, width and number of channels, and registered to each other.
        low_column, high_column: names of the columns with the low-quality and the clear image.
        size: side of the images in pixels.
        flips: random mirroring of both images alike; None leaves them as they are.
        field_of_view: where to look for it, see `find_field_of_view`.
        largest_broken_share: see `PreparedPhotographs`; a pair is broken where one of its photographs is.

    Raises:
        MissingColumnError: a column does not exist.
        PreparationError: more pairs are broken than allowed: a photograph cannot be prepared, or the images differ in
            size or number of channels.
    """
    prepared = PreparedPhotographs(
        dataset,
        size,
        image_column=high_column,
        companion_column=low_column,
        field_of_view=field_of_view,
        largest_broken_share=largest_broken_share,
    )
    return RealPairs(prepared, flips)


def paired_folders(
    low_folder: str | Path,
    high_folder: str | Path,
    size: int,
    *,
    flips: Flips | None = None,
    field_of_view: FieldOfViewShape = "auto",
    largest_broken_share: float = 0.0,
) -> RealPairs:
    """Pairs from two folders, matched by file name; see `pair_files`.

    Other arguments and errors as for `paired_columns`.

    Raises:
        ImageReadError, PairingError: see `pair_files`.
    """
    files = pair_files(low_folder, high_folder).values()
    columns = {"low": [str(low) for low, _ in files], "high": [str(high) for _, high in files]}
    return paired_columns(
        datasets.Dataset.from_dict(columns),
        "low",
        "high",
        size,
        flips=flips,
        field_of_view=field_of_view,
        largest_broken_share=largest_broken_share,
    )


def _pair_item(low: np.ndarray, high: np.ndarray, mask: np.ndarray, draw: Draw, flips: Flips | None) -> PairItem:
    if flips is not None:
        low, high, mask = flips.apply(draw.seed, low, high, mask)
    return PairItem(
        low=image_tensor(low),
        high=image_tensor(high),
        mask=mask_tensor(mask),
        index=integer_tensor(draw.index),
        seed=integer_tensor(draw.seed),
    )
