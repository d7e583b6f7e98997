"""The methods without learned weights: CLAHE, and correction of the illumination, tuned on validation photographs."""

from collections.abc import Callable
from itertools import product

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.pairs import degraded
from benchmarks.claims.scoring import mean_psnr, score_pairs
from retina_adapt.backbones import load_backbone
from retina_adapt.embedded import DEFAULT_BACKBONE, backbone_folder
from retina_adapt.enhancement import reconstruct_frames
from retina_adapt.evaluation import apply_clahe

CLIP_LIMITS, TILES = (0.5, 1.0, 2.0, 3.0), (2, 4, 8)
KERNEL_SHARES, LEVELS, GAINS = (0.05, 0.1, 0.2), ((0.55, 0.3, 0.15), (0.65, 0.4, 0.25)), (0.8, 1.0, 1.4)

PixelMethod = Callable[[np.ndarray], np.ndarray]


def correct_illumination(
    pixels: np.ndarray, *, kernel_share: float, level: tuple[float, ...], gain: float
) -> np.ndarray:
    """Large-kernel normalisation: what varies slowly is replaced by one level, the rest is amplified.

    level + gain * (image - its Gaussian mean); cf. the preprocessing of Graham 2015 in Kaggle's diabetic retinopathy
    detection.

    Args:
        pixels: (H, W, 3) in [0, 1], the surround mirrored.
        kernel_share: deviation of the Gaussian, as a share of the frame's side.
        level: of each channel, in [0, 1].
        gain: on what remains.
    """
    slow = cv2.GaussianBlur(pixels, (0, 0), kernel_share * pixels.shape[0])
    return np.clip(np.float32(level) + gain * (pixels - slow), 0, 1)


def score_classical(config: ClaimsConfig) -> dict[str, dict]:
    """By method and data set the mean scores, and the options that validation chose."""
    backbone = load_backbone(backbone_folder(DEFAULT_BACKBONE))
    size = backbone.settings.image_size
    validation = degraded(config.data_sets, "validation", config.degradation, size)
    frame = np.ones((size, size), dtype=bool)
    candidates: dict[str, list[tuple[dict, PixelMethod]]] = {
        "CLAHE": [
            (options, lambda pixels, options=options: apply_clahe(pixels, frame, **options))
            for options in ({"clip_limit": clip, "tiles": tiles} for clip, tiles in product(CLIP_LIMITS, TILES))
        ],
        "illumination correction": [
            (options, lambda pixels, options=options: correct_illumination(pixels, **options))
            for options in (
                {"kernel_share": share, "level": level, "gain": gain}
                for share, level, gain in product(KERNEL_SHARES, LEVELS, GAINS)
            )
        ],
    }

    def scores(enhance: Callable[[Tensor], Tensor]) -> dict[str, dict[str, float]]:
        return {
            data_set.name: score_pairs(enhance, degraded([data_set], "test", config.degradation, size))
            for data_set in config.data_sets
        }

    results: dict[str, dict] = {}
    for method, options_and_functions in candidates.items():
        ranked = [
            (mean_psnr(_on_tensors(function), validation), number)
            for number, (_, function) in enumerate(options_and_functions)
        ]
        options, function = options_and_functions[max(ranked)[1]]
        results[method] = {"options": options, "scores": scores(_on_tensors(function))}
    alone = scores(lambda low: reconstruct_frames(backbone, low))
    results["backbone alone"] = {"options": {}, "scores": alone}
    return results


def _on_tensors(function: PixelMethod) -> Callable[[Tensor], Tensor]:
    def enhance(low: Tensor) -> Tensor:
        pixels = low[0].permute(1, 2, 0).numpy()
        return torch.from_numpy(np.ascontiguousarray(function(pixels).transpose(2, 0, 1)))[None]

    return enhance
