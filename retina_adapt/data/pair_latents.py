"""Real pairs with the frozen encoder's latents of both photographs, encoded once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from retina_adapt.data.augmentation import Flips, mirrored
from retina_adapt.data.draws import Draw
from retina_adapt.data.latent_cache import LatentCache, LatentCacheError
from retina_adapt.data.pairs import PairItem, RealPairs
from retina_adapt.data.tensors import image_tensor, integer_tensor
from retina_adapt.data.unpaired import UnpairedImages


class PairItemWithLatents(PairItem):
    """A pair, and what the frozen encoder makes of its photographs.

    Keys:
        low_latent, high_latent: float32 (C, h, w).
    """

    low_latent: Tensor
    high_latent: Tensor


@dataclass(frozen=True)
class _Mirror:
    """One of the ways in which a pair may be flipped; the transform that identifies a `LatentCache`."""

    horizontal: bool
    vertical: bool


class _MirroredPairs(UnpairedImages):
    """Both photographs of each pair, all mirrored the same way: the clear one is the image of `LatentCache`."""

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        high, low = self.prepared[draw.index].image, self.prepared.companion(draw.index).image
        high, low = mirrored(self.transform.horizontal, self.transform.vertical, high, low)
        return {
            "image": image_tensor(high),
            "degraded": image_tensor(low),
            "index": integer_tensor(draw.index),
            "seed": integer_tensor(draw.seed),
        }


class PairsWithLatents(torch.utils.data.Dataset[PairItemWithLatents]):
    """The items of `RealPairs`, with the latents that a frozen encoder would make of them.

    Real pairs are always the same but for their flips, so that each way of mirroring them has a `LatentCache` of its
    own and the latents are those of the very item. Pairs that are degraded anew for every draw have no such cache: no
    two of their photographs are alike.

    Args:
        pairs: taken twice by a camera, not degraded for each draw.
        encode, key, batch_size, workers, folder: see `LatentCache`.

    Raises:
        LatentCacheError: the pairs are not real ones, or see `LatentCache`.
    """

    def __init__(
        self,
        pairs: RealPairs,
        encode: Callable[[Tensor], Tensor],
        *,
        key: str,
        batch_size: int = 8,
        workers: int = 0,
        folder: Path | None = None,
    ) -> None:
        if not isinstance(pairs, RealPairs):
            raise LatentCacheError(
                "only real pairs that are read by position have latents to keep: pairs degraded anew for every draw, "
                "and streamed ones, must be encoded at every step"
            )
        self.pairs = pairs
        flips = pairs.flips or Flips(horizontal=False, vertical=False)
        self.flips = flips
        options: dict[str, Any] = {"key": key, "batch_size": batch_size, "workers": workers, "folder": folder}
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
        latents = self.caches[self.flips.drawn(draw.seed)][draw]
        return {**self.pairs[draw], "low_latent": latents["condition"], "high_latent": latents["latent"]}
