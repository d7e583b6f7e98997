"""Run frames and tiles through the network, in batches and tiles as large as memory allows."""

import contextlib
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import torch

from retina_adapt.backbones import ReconstructionBackbone
from retina_adapt.enhancement.copies import PhotographCopies
from retina_adapt.enhancement.detail import SmallChange
from retina_adapt.enhancement.errors import EnhancementInputError, EnhancementMemoryError
from retina_adapt.enhancement.modes import enhance_frames
from retina_adapt.enhancement.settings import SMALLEST_TILE, EnhancementSettings
from retina_adapt.enhancement.tiles import tiled_change
from retina_adapt.errors import ran_out_of_memory


def small_changes(
    backbone: ReconstructionBackbone, prepared: Sequence[PhotographCopies], settings: EnhancementSettings
) -> list[SmallChange]:
    """What the network, with whatever adaptors are active, changes in each photograph's copies.

    If memory runs out, batches are halved, then tiles.

    Raises:
        EnhancementInputError: a photograph's channels do not fit the backbone.
        EnhancementMemoryError: one frame, or the smallest tile, is already too much.
    """
    for photograph in prepared:
        _require_channels(backbone, photograph)
    changes: list[SmallChange] = []
    for batch in _batches(prepared, settings.batch_size):
        frames = np.stack([photograph.frame for photograph in batch])
        try:
            changed = _change_of(backbone, frames, [settings.seed] * len(batch), settings)
        except _OutOfMemoryError as error:
            raise EnhancementMemoryError(
                f"{batch[0].name}: a frame of {frames.shape[1]} px does not fit in memory; close other programs, or "
                "use the device cpu"
            ) from error
        changes += [
            SmallChange(photograph.frame, change, follow_detail=settings.detail != "kept")
            for photograph, change in zip(batch, changed, strict=True)
        ]
    larger_copy = settings.larger_copy(backbone)
    if larger_copy is None:
        return changes
    tile_side = larger_copy[1]
    return [_with_tiles(backbone, *pair, tile_side, settings) for pair in zip(prepared, changes, strict=True)]


def _batches(prepared: Sequence[PhotographCopies], batch_size: int) -> Iterator[list[PhotographCopies]]:
    """The photographs in order, in batches that are all grey or all in colour, since the two cannot be stacked."""
    for _, alike in groupby(prepared, key=lambda photograph: photograph.frame.shape):
        photographs = list(alike)
        for first in range(0, len(photographs), batch_size):
            yield photographs[first : first + batch_size]


class _OutOfMemoryError(Exception):
    """Memory has run out, whichever allocator says so."""


def _with_tiles(
    backbone: ReconstructionBackbone,
    photograph: PhotographCopies,
    frame_change: SmallChange,
    tile_side: int,
    settings: EnhancementSettings,
) -> SmallChange:
    working_side = photograph.working.shape[0]
    if working_side <= photograph.frame.shape[0]:
        # The frame already shows everything.
        return frame_change
    if tile_side > working_side:
        # Of the smaller sides, the frame's is the one that every part of the backbone can divide.
        tile_side = photograph.frame.shape[0]

    def change_of_tiles(tiles: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        return _change_of(backbone, tiles, [settings.seed + number for number in numbers], settings)

    while True:
        try:
            change = tiled_change(
                photograph.working,
                photograph.working_mask,
                frame_change,
                change_of_tiles,
                tile_side=tile_side,
                batch_size=settings.batch_size,
            )
            return SmallChange(photograph.working, change, tile_side=tile_side)
        except _OutOfMemoryError as error:
            stride = settings.stride(backbone)
            smaller = tile_side // 2 // stride * stride
            if smaller < SMALLEST_TILE:
                raise EnhancementMemoryError(
                    f"{photograph.name}: tiles of {tile_side} px do not fit in memory; close other programs, or use "
                    "the detail guided"
                ) from error
            tile_side = smaller


def _change_of(
    backbone: ReconstructionBackbone, frames: np.ndarray, seeds: Sequence[int], settings: EnhancementSettings
) -> np.ndarray:
    """What the network changes in frames (batch, side, side, C), the same shape; in halves if memory runs out."""
    try:
        return _change_of_batch(backbone, frames, seeds, settings)
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        if len(frames) == 1:
            raise _OutOfMemoryError from error
    # Outside the `except` block, whose error keeps the failed pass's tensors alive.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(frames) // 2
    parts = [(frames[:half], seeds[:half]), (frames[half:], seeds[half:])]
    return np.concatenate([_change_of(backbone, *part, settings) for part in parts])


def _change_of_batch(
    backbone: ReconstructionBackbone, frames: np.ndarray, seeds: Sequence[int], settings: EnhancementSettings
) -> np.ndarray:
    channels = backbone.settings.image_channels
    low = np.repeat(frames, channels, axis=3) if frames.shape[3] < channels else frames
    tensor = torch.from_numpy(np.ascontiguousarray(low.transpose(0, 3, 1, 2))).to(backbone.device)
    half_precision = settings.precision == "bfloat16"
    with torch.autocast(backbone.device.type, torch.bfloat16) if half_precision else contextlib.nullcontext():
        enhanced = enhance_frames(
            backbone,
            tensor,
            mode=settings.mode,
            steps=settings.sampling_steps,
            seeds=seeds,
            scheduler=settings.scheduler,
        )
    change = (enhanced - tensor).permute(0, 2, 3, 1).cpu().numpy()
    # For grey: the mean of the change, not of the colours, so that no change stays exactly zero.
    return change.mean(axis=3, keepdims=True) if frames.shape[3] < channels else change


def _require_channels(backbone: ReconstructionBackbone, photograph: PhotographCopies) -> None:
    channels = backbone.settings.image_channels
    if photograph.pixels.shape[2] not in (1, channels):
        raise EnhancementInputError(
            f"{photograph.name}: is a colour image, but the backbone was trained on images of {channels} channel; "
            "convert it to grey, or load another backbone"
        )
