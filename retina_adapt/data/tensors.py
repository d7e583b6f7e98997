"""Conversion of numpy images to torch tensors, all in one place."""

import numpy as np
import torch


def image_tensor(pixels: np.ndarray) -> torch.Tensor:
    """Copy a float32 image (H, W, C) in [0, 1] into a contiguous float32 tensor (C, H, W)."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def mask_tensor(mask: np.ndarray) -> torch.Tensor:
    """Copy a bool mask (H, W) into a bool tensor (1, H, W)."""
    return torch.from_numpy(mask[None].copy())


def integer_tensor(value: int) -> torch.Tensor:
    """An int64 scalar tensor, which any collate function stacks without changing its type."""
    return torch.tensor(value, dtype=torch.int64)
