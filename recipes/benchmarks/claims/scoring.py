"""Scores of an enhancement on pairs: the same photographs and the same degradations for every arm."""

from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from torch import Tensor

from retina_adapt.data import DegradedPairs, Draw
from retina_adapt.data.draws import seed_of
from retina_adapt.evaluation import score_image

TEST_SEED = 1


@torch.no_grad()
def score_pairs(enhance: Callable[[Tensor], Tensor], pairs: DegradedPairs, *, draws: int = 1) -> dict[str, float]:
    """Mean scores over the pairs, in the field of view.

    Args:
        enhance: from a batch of one photograph to the same enhanced.
        pairs: each a clear photograph that is degraded when it is asked for.
        draws: how often each is degraded.

    Returns:
        psnr_degraded, ssim_degraded: of the degraded photograph, against the clear one.
        psnr_enhanced, ssim_enhanced: of the enhanced one.
        psnr_clear_enhanced: of the clear one when it is itself enhanced.
        share_worse: of the degraded photographs, in [0, 1], those whose PSNR enhancing lowers.
    """
    degraded, enhanced, clear = [], [], []
    for index, draw in product(range(len(pairs)), range(draws)):
        item = pairs[Draw(index, seed_of(TEST_SEED + draw, index))]
        target, mask = item["high"].permute(1, 2, 0).numpy(), item["mask"][0].numpy()
        pictures = [(degraded, item["low"]), (enhanced, enhance(item["low"][None])[0])]
        if draw == 0:
            pictures.append((clear, enhance(item["high"][None])[0]))
        for scores, picture in pictures:
            found = score_image(_pixels(picture), target, mask)
            scores.append((found.psnr, found.ssim))
    before, after, untouched = (np.array(scores) for scores in (degraded, enhanced, clear))
    means = {
        "psnr_degraded": before[:, 0].mean(),
        "ssim_degraded": before[:, 1].mean(),
        "psnr_enhanced": after[:, 0].mean(),
        "ssim_enhanced": after[:, 1].mean(),
        "psnr_clear_enhanced": untouched[:, 0].mean(),
        "share_worse": (after[:, 0] < before[:, 0]).mean(),
    }
    return {name: float(value) for name, value in means.items()}


@torch.no_grad()
def mean_psnr(enhance: Callable[[Tensor], Tensor], pairs: DegradedPairs) -> float:
    """Mean PSNR of the enhanced photographs, in dB."""
    values = []
    for index in range(len(pairs)):
        item = pairs[Draw(index, seed_of(TEST_SEED, index))]
        target, mask = item["high"].permute(1, 2, 0).numpy(), item["mask"][0].numpy()
        values.append(score_image(_pixels(enhance(item["low"][None])[0]), target, mask).psnr)
    return float(np.mean(values))


def _pixels(picture: Tensor) -> np.ndarray:
    # A training that diverged shall have its bad score, not end the benchmark.
    return picture.nan_to_num(0.0).clamp(0, 1).permute(1, 2, 0).numpy()
