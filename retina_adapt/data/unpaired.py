"""Unpaired photographs of any quality, for training a backbone to reconstruct them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import cv2
import numpy as np
import torch

from retina_adapt.data.augmentation import Flips
from retina_adapt.data.draws import Draw, random_generator, require_draw
from retina_adapt.data.preparation import PreparedPhotograph, mirror_outside
from retina_adapt.data.prepared_photographs import PreparedPhotographs
from retina_adapt.data.tensors import image_tensor, integer_tensor, mask_tensor
from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import resize, resize_mask


class CropSizeError(RetinaAdaptError):
    """A crop is larger than the photographs it is to be cut from."""


class CropDegradationError(RetinaAdaptError):
    """The probability of a degradation is out of range, or no presets are given for it."""


class ImageItem(TypedDict):
    """One image, S pixels a side.

    Keys:
        image: float32 (C, S, S) in [0, 1].
        mask: field of view, bool (1, S, S).
        index, seed: the draw, int64 scalars.
    """

    image: torch.Tensor
    mask: torch.Tensor
    index: torch.Tensor
    seed: torch.Tensor


class DegradedCropItem(ImageItem):
    """One image and its degraded version, S pixels a side.

    Keys:
        degraded: float32 (C, S, S) in [0, 1]; `image` itself where nothing was degraded.
        others: see `ImageItem`.
    """

    degraded: torch.Tensor


@dataclass(frozen=True)
class RandomCrop:
    """Cut a random square from a photograph; everything random comes from the seed of a `Draw`.

    The square's side is log-uniform between `crop_size` pixels of the prepared photograph (its finest detail) and the
    whole frame: each octave of scale is equally likely. Its position is uniform among those with at least half of the
    square in the field of view.

    Attributes:
        crop_size: side of the result in pixels.
        flips: random mirroring; None leaves crops as they are.
        degradation_probability: how often, in [0, 1], the photograph is degraded before it is cut, since a backbone
            must reconstruct images of any quality.
        presets: names of the degradations to choose from, each equally likely.

    Raises:
        UnknownPresetError, CropDegradationError: an unknown preset, a probability outside [0, 1], or one above 0
            without presets; raised at construction, not in the middle of a training run.
    """

    crop_size: int
    flips: Flips | None = Flips()  # noqa: RUF009 - frozen, so sharing it is safe
    degradation_probability: float = 0.0
    presets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.degradation_probability <= 1.0:
            raise CropDegradationError(
                f"degradation_probability is {self.degradation_probability}; it must lie in [0, 1]"
            )
        if self.degradation_probability > 0 and not self.presets:
            raise CropDegradationError(
                f"degradation_probability is {self.degradation_probability}, but no degradations are given to choose "
                "from; name presets (`retina-adapt presets` lists them), or set it to 0"
            )
        for preset in self.presets:
            draw_degradation(preset, seed=0)

    def __call__(self, photograph: PreparedPhotograph, draw: Draw) -> ImageItem:
        """Degrade, cut, resize and flip.

        Raises:
            CropSizeError: the photograph is smaller than the crop.
        """
        image, mask = self.cut(photograph.mask, draw.seed, self.degrade(photograph, draw.seed))
        return image_item(image, mask, draw)

    def cut(self, mask: np.ndarray, seed: int, *images: np.ndarray) -> tuple[np.ndarray, ...]:
        """The same crop of each image (S, S, C), flipped alike, followed by that of their mask, bool (S, S)."""
        size = self.crop_size
        rows, columns = draw_window(mask, size, random_generator(seed, "crop"))
        crops = [resize(image[rows, columns], size, size) for image in images]
        crops.append(resize_mask(mask[rows, columns], size, size))
        return tuple(crops) if self.flips is None else self.flips.apply(seed, *crops)

    def degrade(self, photograph: PreparedPhotograph, seed: int) -> np.ndarray:
        """The photograph's image, degraded with probability `degradation_probability`."""
        generator = random_generator(seed, "degradation")
        chance, choice = generator.random(2)
        if chance >= self.degradation_probability:
            return photograph.image
        drawn = draw_degradation(self.presets[int(choice * len(self.presets))], seed=seed)
        # Before cutting: uneven light and haze span the whole eye, and a crop shows a part of them.
        return mirror_outside(apply_degradation(photograph.image, photograph.mask, drawn), photograph.mask)


@dataclass(frozen=True)
class DegradedCrop:
    """A random crop of a photograph, and the same crop of its degraded version.

    For a denoiser whose target is the latent of the clear image and whose condition is that of the degraded one.

    Attributes:
        crop: determines the crop, and how often and by which presets the photograph is degraded. Equal draws give the
            window, flips and degradation that `crop` alone would give.
    """

    crop: RandomCrop

    @property
    def presets(self) -> tuple[str, ...]:
        """Names of the degradations to choose from."""
        return self.crop.presets

    def __call__(self, photograph: PreparedPhotograph, draw: Draw) -> DegradedCropItem:
        """Degrade, cut both, resize and flip.

        Raises:
            CropSizeError: the photograph is smaller than the crop.
        """
        degraded = self.crop.degrade(photograph, draw.seed)
        image, degraded, mask = self.crop.cut(photograph.mask, draw.seed, photograph.image, degraded)
        return DegradedCropItem(**image_item(image, mask, draw), degraded=image_tensor(degraded))


@dataclass(frozen=True)
class WholeFrame:
    """The whole photograph at `crop_size` pixels a side, with nothing random: for validation."""

    crop_size: int

    def __call__(self, photograph: PreparedPhotograph, draw: Draw) -> ImageItem:
        """Resize; the draw is passed through."""
        image = resize(photograph.image, self.crop_size, self.crop_size)
        return image_item(image, resize_mask(photograph.mask, self.crop_size, self.crop_size), draw)


class UnpairedImages(torch.utils.data.Dataset[ImageItem]):
    """Images for reconstruction; item `Draw(index, seed)` depends only on the draw.

    Args:
        prepared: photographs at the size from which crops are cut: a few times the crop size, and at most the
            photographs' own resolution.
        transform: `RandomCrop` for training, `WholeFrame` for validation, `DegradedCrop` for items with both the image
            and its degraded version.
    """

    def __init__(
        self, prepared: PreparedPhotographs, transform: Callable[[PreparedPhotograph, Draw], ImageItem]
    ) -> None:
        self.prepared = prepared
        self.transform = transform

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, draw: Draw) -> ImageItem:
        require_draw(draw)
        return self.transform(self.prepared[draw.index], draw)


def draw_window(mask: np.ndarray, crop_size: int, generator: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a random square, at least half of it in the field of view; see `RandomCrop`.

    If the field of view is too narrow for that, it is a square of the drawn size that holds most of it.

    Raises:
        CropSizeError: `crop_size` exceeds the (S, S) mask's side.
    """
    size = mask.shape[0]
    if crop_size > size:
        raise CropSizeError(f"crops of {crop_size} px cannot be cut from photographs of {size} px; prepare them larger")
    scale, place = generator.random(2)
    side = round(crop_size * math.exp(scale * math.log(size / crop_size)))
    # The integral image gives the sums over all windows at once: a draw among the valid ones, not trial and error.
    integral = cv2.integral(mask.astype(np.uint8))
    inside = integral[side:, side:] - integral[:-side, side:] - integral[side:, :-side] + integral[:-side, :-side]
    valid = np.flatnonzero(inside >= min(side * side / 2, inside.max()))
    top, left = np.unravel_index(valid[int(place * len(valid))], inside.shape)
    return slice(int(top), int(top) + side), slice(int(left), int(left) + side)


def image_item(image: np.ndarray, mask: np.ndarray, draw: Draw) -> ImageItem:
    """The item of an image (S, S, C) in [0, 1] and its mask, bool (S, S)."""
    return ImageItem(
        image=image_tensor(image),
        mask=mask_tensor(mask),
        index=integer_tensor(draw.index),
        seed=integer_tensor(draw.seed),
    )
