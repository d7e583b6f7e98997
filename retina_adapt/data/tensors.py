"""From numpy images to torch tensors: the only place that converts."""

import numpy as np
import torch


def image_tensor(pixels: np.ndarray) -> torch.Tensor:
    """float32 (H, W, C) in [0, 1] to a contiguous float32 tensor (C, H, W) of its own memory."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def mask_tensor(mask: np.ndarray) -> torch.Tensor:
    """bool (H, W) to a bool tensor (1, H, W) of its own memory."""
    return torch.from_numpy(mask[None].copy())


def integer_tensor(value: int) -> torch.Tensor:
    """An int64 scalar tensor, which any collate function stacks without changing its type."""
    return torch.tensor(value, dtype=torch.int64)
