"""Convert every kind of picture that users may have to plain pixels, and back to the same kind."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from retina_adapt.enhancement.errors import EnhancementInputError
from retina_adapt.imaging import Photograph, transparent_where

AnyImage = TypeVar("AnyImage", Photograph, Image.Image, np.ndarray, Tensor)


@dataclass(frozen=True)
class ImageParts(Generic[AnyImage]):
    """A picture taken apart.

    Attributes:
        pixels: float32 (H, W, C) in [0, 1].
        put_together: makes such an array a picture of the same type. Unchanged samples keep every bit. A `Photograph`
            loses its provenance, which described its old pixels.
        transparent: bool (H, W), where nothing of it is seen; None if there is no such place.
    """

    pixels: np.ndarray
    put_together: Callable[[np.ndarray], AnyImage]
    transparent: np.ndarray | None = None


def take_apart(image: AnyImage) -> ImageParts[AnyImage]:
    """Separate a picture's pixels from what it is besides.

    Args:
        image: a `Photograph`; a PIL image of mode L, LA, RGB or RGBA; an array (height, width, channels) or
            (height, width); or a tensor (channels, height, width). Arrays and tensors are uint8, uint16, or floating
            point in [0, 1], their channels red, green and blue.

    Raises:
        EnhancementInputError: the picture cannot be used; the message says what to give instead.
    """
    if isinstance(image, Photograph):
        return ImageParts(
            image.pixels,
            lambda pixels: dataclasses.replace(image, pixels=pixels, provenance=None),
            transparent=image.transparent,
        )
    if isinstance(image, Image.Image):
        return _take_apart_pil(image)
    if isinstance(image, Tensor):
        return _take_apart_tensor(image)
    if isinstance(image, np.ndarray):
        return ImageParts(*_take_apart_array(image))
    raise EnhancementInputError(
        f"a {type(image).__name__} cannot be enhanced; use an array, a tensor, a PIL image, or a Photograph "
        "from retina_adapt.imaging.read_photograph"
    )


def _take_apart_pil(image: Image.Image) -> ImageParts[Image.Image]:
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise EnhancementInputError(
            f"a PIL image of mode {image.mode} would lose bits or colours; convert it to RGB or L yourself, "
            "or read its file with retina_adapt.imaging.read_photograph"
        )
    alpha = image.getchannel("A") if image.mode.endswith("A") else None
    color = image if alpha is None else image.convert(image.mode.removesuffix("A"))
    pixels, to_array = _take_apart_array(np.asarray(color))

    def to_image(changed: np.ndarray) -> Image.Image:
        enhanced = Image.fromarray(to_array(changed))
        if alpha is not None:
            enhanced.putalpha(alpha)
        # EXIF with its orientation, colour profile and resolution.
        enhanced.info = dict(image.info)
        return enhanced

    return ImageParts(pixels, to_image, None if alpha is None else transparent_where(np.asarray(alpha)))


def _take_apart_tensor(image: Tensor) -> ImageParts[Tensor]:
    if image.dim() != 3 or image.shape[0] not in (1, 3):
        raise EnhancementInputError(
            f"a tensor of shape {tuple(image.shape)} is no image; use (channels, height, width) with 1 or 3 channels, "
            "or a batch of them"
        )
    # NumPy has no bfloat16.
    exact = image.detach().cpu()
    array = (exact.float() if exact.dtype == torch.bfloat16 else exact).permute(1, 2, 0).numpy()
    pixels, to_array = _take_apart_array(array)

    def to_tensor(changed: np.ndarray) -> Tensor:
        enhanced = torch.from_numpy(np.ascontiguousarray(to_array(changed).transpose(2, 0, 1)))
        return enhanced.to(image.device, image.dtype)

    return ImageParts(pixels, to_tensor)


def _take_apart_array(array: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    if array.dtype in (np.uint8, np.uint16):
        peak = np.iinfo(array.dtype).max
    elif np.issubdtype(array.dtype, np.floating):
        peak = 1
    else:
        raise EnhancementInputError(
            f"an array of {array.dtype} cannot be enhanced; use uint8, uint16, or floating point in [0, 1]"
        )
    pixels = array[..., None] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.size == 0:
        raise EnhancementInputError(
            f"an array of shape {array.shape} is no image; use (height, width, 3), (height, width, 1) or "
            "(height, width)"
        )
    if peak == 1 and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise EnhancementInputError(
            f"a floating point array must lie in [0, 1], but this one spans {pixels.min()} to {pixels.max()}; "
            "divide it by its largest possible value"
        )
    low = pixels.astype(np.float32) / np.float32(peak)

    def to_array(changed: np.ndarray) -> np.ndarray:
        converted = (np.rint(changed * peak) if peak > 1 else changed).astype(array.dtype)
        # Unchanged samples keep every bit, even of types finer than float32.
        return np.where(changed == low, pixels, converted).reshape(array.shape)

    return low, to_array
