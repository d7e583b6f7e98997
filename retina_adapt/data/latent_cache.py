"""Latents of a frozen autoencoder, encoded once and read back at every step of a denoiser's training."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path
from typing import NotRequired, TypedDict

import datasets
import torch
from datasets.utils import tqdm
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.data.draws import Draw, random_generator, require_draw, seed_of
from retina_adapt.data.loading import use_one_core
from retina_adapt.data.tensors import integer_tensor
from retina_adapt.data.unpaired import UnpairedImages
from retina_adapt.degradations import preset_fingerprint
from retina_adapt.errors import RetinaAdaptError

# Raise it when a file's layout changes, or what crops and flips make of a draw, or what a degradation of this package
# does by code outside its own file: latents of earlier versions are then no longer used.
_FORMAT_VERSION = 2
# Latents per file: few enough to hold in memory until they are written, 50 MB for the paper's (3, 128, 128).
_LATENTS_A_FILE = 256


class LatentCacheError(RetinaAdaptError):
    """Latents cannot be cached, or a file of them is damaged; the message gives the remedy."""


class LatentItem(TypedDict):
    """The latent of one image.

    Keys:
        latent: float32 (C, h, w), what `encode` makes of the image.
        condition: the same for the image's degraded version; only where the images have one (`DegradedCrop`).
        index, seed: the draw, int64 scalars.
    """

    latent: Tensor
    condition: NotRequired[Tensor]
    index: Tensor
    seed: Tensor


class LatentCache(torch.utils.data.Dataset[LatentItem]):
    """Latents of a fixed number of variants of each photograph; the seed of item `Draw(index, seed)` selects one.

    A variant is a draw of its own, with its own crop, flips and degradation. All are encoded at the first use and
    stored in safetensors files of 256 latents each, from which an item reads only its own rows: the cache may be larger
    than memory. Each file appears whole or not at all, so an interrupted run encodes only the files that are missing,
    and a later run encodes nothing.

    Valid only upstream of every adaptor, for latents of the frozen autoencoder, which training does not change. What an
    adapted encoder makes of an image changes with every step, and must be computed at every step. An encoder with
    trainable parameters is refused; one with frozen adaptors attached can be told from the frozen autoencoder only by
    `key`.

    The files lie beside the prepared photographs, in the `datasets` cache (`HF_DATASETS_CACHE`), and are never deleted
    here. Processes may start at once, but each would do the work: let the main one go first
    (`accelerator.main_process_first()`).

    Args:
        images: the images to encode; their transform must be a frozen dataclass, since its settings identify it,
            together with the source of the degradations it names.
        encode: makes latents (N, C, h, w) from images (N, channels, S, S), float32 in [0, 1] on the CPU; may move them
            to another device. Gradients stay enabled, which costs nothing with a frozen encoder.
        variants: number of variants of each photograph.
        seed: seed from which each variant's draw is derived.
        key: identity of `encode`, usually the backbone's fingerprint; with another key, latents are made anew.
        batch_size: number of images encoded at once.
        workers: number of processes that prepare the images to encode.

    Raises:
        LatentCacheError: no variants, no key, a stream, a transform without identity, an encoder that is not frozen,
            latents that are not finite, or files that cannot be written.
        DegradationSourceError: a degradation's source cannot be read.
    """

    def __init__(
        self,
        images: UnpairedImages,
        encode: Callable[[Tensor], Tensor],
        *,
        variants: int,
        seed: int,
        key: str,
        batch_size: int = 8,
        workers: int = 0,
    ) -> None:
        if not isinstance(images, UnpairedImages):
            raise LatentCacheError(
                "streamed photographs have no positions by which to keep latents; encode them at every step, or set "
                "streaming to false"
            )
        if variants < 1:
            raise LatentCacheError(f"variants, or data.latent_cache_variants, must be at least 1, got {variants}")
        folder = Path(datasets.config.HF_DATASETS_CACHE) / "retina_adapt"
        self.length = len(images)
        self.variants = variants
        self.seed = seed
        self.folder = folder / f"latents-{_fingerprint(images, variants, seed, key)}"
        starts = range(0, self.length * variants, _LATENTS_A_FILE)
        missing = [start for start in starts if not self._file(start).is_file()]
        if missing:
            self._encode(missing, images, encode, batch_size, workers)

    def __len__(self) -> int:
        """Number of photographs."""
        return self.length

    def __getitem__(self, draw: Draw) -> LatentItem:
        """One variant of photograph `draw.index`, each equally likely.

        Raises:
            LatentCacheError: its file is missing or damaged.
        """
        require_draw(draw)
        if not 0 <= draw.index < self.length:
            raise IndexError(f"there is no photograph {draw.index} among {self.length}")
        variant = int(random_generator(draw.seed, "variant").integers(self.variants))
        position = draw.index * self.variants + variant
        row = position % _LATENTS_A_FILE
        path = self._file(position - row)
        try:
            # Opened for each item, which takes 60 microseconds, so that worker processes share nothing.
            with safe_open(path, framework="pt") as file:
                latents = {name: file.get_slice(name)[row] for name in file.keys()}  # noqa: SIM118 - no dictionary
        except (OSError, SafetensorError) as error:
            raise LatentCacheError(
                f"{path}: cannot be read ({error}); delete it and start again, and its latents will be encoded anew"
            ) from error
        item = LatentItem(latent=latents["latent"], index=integer_tensor(draw.index), seed=integer_tensor(draw.seed))
        if "condition" in latents:
            item["condition"] = latents["condition"]
        return item

    def _file(self, start: int) -> Path:
        """The file of latents `start` and following, in order of photographs, and of variants within each."""
        return self.folder / f"{start:09d}.safetensors"

    def _encode(
        self,
        missing: list[int],
        images: UnpairedImages,
        encode: Callable[[Tensor], Tensor],
        batch_size: int,
        workers: int,
    ) -> None:
        """Write the files that start at the positions in `missing`."""
        batches_of_files = [self._batches(start, batch_size) for start in missing]
        # One loader for all files, so that its workers start only once.
        loader = DataLoader(
            images,
            batch_sampler=list(chain.from_iterable(batches_of_files)),
            num_workers=workers,
            worker_init_fn=use_one_core,
            # A generator of its own, so that encoding leaves the global one as it was, as finding the latents does.
            generator=torch.Generator(),
        )
        items = iter(loader)
        for start, batches in zip(missing, tqdm(batches_of_files, desc="Encoding latents", unit="file"), strict=True):
            _write(_encoded(islice(items, len(batches)), encode, images), self._file(start))

    def _batches(self, start: int, batch_size: int) -> list[list[Draw]]:
        """The draws of one file."""
        draws = []
        for position in range(start, min(start + _LATENTS_A_FILE, self.length * self.variants)):
            index, variant = divmod(position, self.variants)
            draws.append(Draw(index, seed_of(self.seed, index, variant)))
        return [draws[first : first + batch_size] for first in range(0, len(draws), batch_size)]


def _fingerprint(images: UnpairedImages, variants: int, seed: int, key: str) -> str:
    """Identity of all latents, as 32 hexadecimal digits."""
    if not key:
        raise LatentCacheError("the key is empty; give the fingerprint of the backbone that encodes")
    transform = images.transform
    if not dataclasses.is_dataclass(transform) or not transform.__dataclass_params__.frozen:
        raise LatentCacheError(
            f"{transform!r} has no settings that identify it; give a frozen dataclass, such as RandomCrop or WholeFrame"
        )
    # A preset's name does not fix what it does: that is up to whoever registered it.
    presets = [preset_fingerprint(name) for name in getattr(transform, "presets", ())]
    parts = [_FORMAT_VERSION, key, images.prepared.fingerprint, repr(transform), presets, variants, seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _encoded(
    batches: Iterable[dict[str, Tensor]], encode: Callable[[Tensor], Tensor], images: UnpairedImages
) -> dict[str, Tensor]:
    """The tensors of one file: "latent", and "condition" where the images have a degraded version."""
    parts: dict[str, list[Tensor]] = {}
    for batch in batches:
        for source, name in (("image", "latent"), ("degraded", "condition")):
            if source not in batch:
                continue
            latents = encode(batch[source])
            if latents.requires_grad:
                raise LatentCacheError(
                    "the encoder has trainable parameters, so its latents will not stay as they are; freeze it with "
                    "requires_grad_(False), or encode at every step"
                )
            finite = latents.isfinite().flatten(1).all(1).tolist()
            if not all(finite):
                index = int(batch["index"][finite.index(False)])
                raise LatentCacheError(
                    f"{images.prepared.names[index]}: its latent is not finite; encode in float32 or bfloat16, since "
                    "float16 overflows"
                )
            parts.setdefault(name, []).append(latents.to("cpu", torch.float32))
    # Convolutions may give channels-last tensors, which safetensors rejects.
    return {name: torch.cat(latents).contiguous() for name, latents in parts.items()}


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        with write_file_atomically(path) as temporary:
            save_file(tensors, temporary)
    except (OSError, SafetensorError) as error:
        raise LatentCacheError(
            f"{path}: cannot be written ({error}); free space, or set HF_DATASETS_CACHE to a folder elsewhere"
        ) from error
