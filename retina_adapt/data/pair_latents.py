"""Real pairs with the frozen encoder's latents of both photographs, encoded once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from retina_adapt.data.augmentation import Flips, mirrored
from retina_adapt.data.draws import Draw, require_draw
from retina_adapt.data.latent_cache import LatentCache, LatentCacheError
from retina_adapt.data.pairs import PairItem, RealPairs
from retina_adapt.data.preparation import PreparedPhotograph
from retina_adapt.data.prepared_photographs import PreparedPhotographs
from retina_adapt.data.tensors import image_tensor
from retina_adapt.data.unpaired import DegradedCropItem, ImageItem, UnpairedImages, image_item


class PairItemWithLatents(PairItem):
    """A pair, with the frozen encoder's latents of its photographs.

    Keys:
        low_latent, high_latent: float32 (C, h, w).
    """

    low_latent: Tensor
    high_latent: Tensor


@dataclass(frozen=True)
class _Mirror:
    """One of the ways to flip a pair; as the transform, it identifies a `LatentCache`."""

    horizontal: bool
    vertical: bool

    def __call__(self, photograph: PreparedPhotograph, draw: Draw) -> ImageItem:
        image, mask = self.applied(photograph.image, photograph.mask)
        return image_item(image, mask, draw)

    def applied(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """The arrays mirrored."""
        return mirrored(self.horizontal, self.vertical, *arrays)


class _MirroredPairs(UnpairedImages):
    """Both photographs of each pair, all mirrored the same way: the clear one is the `image`, the other `degraded`."""

    def __init__(self, prepared: PreparedPhotographs, mirror: _Mirror) -> None:
        super().__init__(prepared, mirror)
        self.mirror = mirror

    def __getitem__(self, draw: Draw) -> DegradedCropItem:
        high, low = self.prepared.with_companion(draw.index)
        (mirrored_low,) = self.mirror.applied(low.image)
        return DegradedCropItem(**self.mirror(high, draw), degraded=image_tensor(mirrored_low))


class PairsWithLatents(torch.utils.data.Dataset[PairItemWithLatents]):
    """The items of `RealPairs`, with the frozen encoder's latents of their photographs.

    A real pair varies only by its flips, so each way of mirroring has its own `LatentCache`, and an item's latents are
    exactly those of its images. Pairs degraded anew for every draw cannot be cached: no two of their images are alike.

    Args:
        pairs: real pairs, not degraded for each draw.
        encode, key, batch_size, workers: see `LatentCache`.

    Raises:
        LatentCacheError: the pairs are not real ones, or for the reasons given in `LatentCache`.
    """

    def __init__(
        self,
        pairs: RealPairs,
        encode: Callable[[Tensor], Tensor],
        *,
        key: str,
        batch_size: int = 8,
        workers: int = 0,
    ) -> None:
        if not isinstance(pairs, RealPairs):
            raise LatentCacheError(
                "latents can be kept only of real pairs that are read by position; pairs degraded anew for every draw, "
                "and streamed ones, must be encoded at every step"
            )
        self.pairs = pairs
        self.prepared = pairs.prepared
        flips = pairs.flips or Flips(horizontal=False, vertical=False)
        self.flips = flips
        options: dict[str, Any] = {"key": key, "batch_size": batch_size, "workers": workers}
        self.caches = {
            (horizontal, vertical): LatentCache(
                _MirroredPairs(pairs.prepared, _Mirror(horizontal, vertical)), encode, variants=1, seed=0, **options
            )
            for horizontal in {False, flips.horizontal}
            for vertical in {False, flips.vertical}
        }

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> PairItemWithLatents:
        require_draw(draw)
        latents = self.caches[self.flips.drawn(draw.seed)][draw]
        return {**self.pairs[draw], "low_latent": latents["condition"], "high_latent": latents["latent"]}
