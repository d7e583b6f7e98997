"""What a user calls: a backbone, named adaptors on it, and photographs of any size in and out."""

import dataclasses
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from peft import PeftModel
from PIL import Image

from retina_adapt.adaptors import AdaptorNameError, adaptors_bypassed, detach_adaptor, load_adaptor
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.embedded import DEFAULT_BACKBONE, adaptor_folder, backbone_folder
from retina_adapt.enhancement.modes import SAMPLING_START, EnhancementMode, enhance_frames
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import Photograph, SquareCrop, find_field_of_view, resize

AnyPhotograph = TypeVar("AnyPhotograph", Photograph, Image.Image, np.ndarray)


class EnhancementInputError(RetinaAdaptError):
    """An input that the backbone or the mode cannot take."""


class Enhancer:
    """A frozen backbone with named adaptors, one of which may be active.

    >>> enhancer = Enhancer.from_pretrained()
    >>> enhancer.load_adaptor("light")
    >>> enhanced = enhancer(photograph)
    """

    def __init__(self, backbone: ReconstructionBackbone) -> None:
        self.backbone = backbone.eval().requires_grad_(False)
        self._adapted: PeftModel | None = None
        self._active: str | None = None

    @classmethod
    def from_pretrained(
        cls, backbone: str | Path = DEFAULT_BACKBONE, *, device: str | torch.device = "cpu"
    ) -> "Enhancer":
        """Load a backbone by its embedded name or from its folder.

        Raises:
            UnknownModelError, BackboneFileError: there is no such backbone, or it is damaged.
        """
        return cls(load_backbone(backbone_folder(backbone)).to(device))

    @property
    def adaptors(self) -> list[str]:
        """Names of the loaded adaptors."""
        return [] if self._adapted is None else list(self._adapted.peft_config)

    @property
    def active_adaptor(self) -> str | None:
        """The adaptor in use; None is the plain reconstruction backbone."""
        return self._active

    def load_adaptor(self, adaptor: str | Path, name: str | None = None) -> str:
        """Load an adaptor by its embedded name or from its folder, and make it the active one.

        Args:
            name: to call it by; the folder's name by default.

        Returns:
            The name.

        Raises:
            UnknownModelError, AdaptorFileError, AdaptorNameError: see `retina_adapt.adaptors.load_adaptor`.
        """
        folder = adaptor_folder(adaptor)
        name = name or folder.resolve().name.replace(".", "-")
        self._adapted = load_adaptor(self._adapted or self.backbone, folder, name)
        self.set_adaptor(name)
        return name

    def set_adaptor(self, name: str | None) -> None:
        """Use the adaptor `name`; None uses none.

        Raises:
            AdaptorNameError: no adaptor of this name is loaded.
        """
        if name is not None:
            self._require(name)
            self._adapted.set_adapter(name)
            self._adapted.requires_grad_(False)
        self._active = name

    def delete_adaptor(self, name: str) -> None:
        """Forget an adaptor and free its memory; if it was active, none is afterwards.

        Raises:
            AdaptorNameError: no adaptor of this name is loaded.
        """
        self._require(name)
        is_last = self.adaptors == [name]
        detach_adaptor(self._adapted, name)
        self._adapted = None if is_last else self._adapted.requires_grad_(False)
        if self._active == name:
            self._active = None

    def __call__(
        self,
        photograph: AnyPhotograph,
        *,
        mode: EnhancementMode = "fast",
        steps: int = 4,
        seed: int = 0,
        field_of_view: str = "auto",
        mask: np.ndarray | None = None,
        name: str = "photograph",
    ) -> AnyPhotograph:
        """Enhance one photograph; what comes out has the type, size, orientation and bit depth of what went in.

        The network sees the square around the field of view at the backbone's frame size. What it changed there is
        enlarged and added to the photograph at its own size, so that detail finer than the network's frame is kept.
        Outside the field of view nothing changes.

        Args:
            photograph: a `Photograph`, a PIL image of mode L, LA, RGB or RGBA, or an array (height, width, channels),
                either uint8, uint16, or floating point in [0, 1].
            mode: `fast` or `diffusion`; see `enhance_frames`.
            steps: denoiser calls in `diffusion`.
            seed: of the noise in `diffusion`.
            field_of_view: auto, circle or full_frame; see `find_field_of_view`.
            mask: the known field of view, bool (height, width).
            name: what error messages call the photograph.

        Raises:
            FieldOfViewError: no field of view is found; give a mask, or field_of_view="full_frame".
            EnhancementInputError: an image, mode or number of steps that cannot be used.
            MissingDenoiserError: the mode is `diffusion` and the backbone has no denoiser.
        """
        if mode not in ("fast", "diffusion"):
            raise EnhancementInputError(f"there is no mode '{mode}'; use fast or diffusion")
        if field_of_view not in ("auto", "circle", "full_frame"):
            raise EnhancementInputError(f"there is no field_of_view '{field_of_view}'; use auto, circle or full_frame")
        if mode == "diffusion":
            self.backbone.require_denoiser()
            most_steps = int(self.backbone.scheduler.config.num_train_timesteps * SAMPLING_START)
            if not 1 <= steps <= most_steps:
                raise EnhancementInputError(f"steps is {steps}; it must be at least 1 and at most {most_steps}")
        if isinstance(photograph, Photograph):
            pixels = self._enhance(photograph.pixels, mode, steps, seed, field_of_view, mask, name)
            return dataclasses.replace(photograph, pixels=pixels)
        if isinstance(photograph, Image.Image):
            return self._enhance_pil(photograph, mode, steps, seed, field_of_view, mask, name)
        return self._enhance_array(photograph, mode, steps, seed, field_of_view, mask, name)

    def _enhance_pil(self, image: Image.Image, *arguments: object) -> Image.Image:
        if image.mode not in ("L", "LA", "RGB", "RGBA"):
            raise EnhancementInputError(
                f"a PIL image of mode {image.mode} would lose bits or colours; convert it to RGB or L yourself, "
                "or read its file with retina_adapt.imaging.read_photograph"
            )
        color = image.convert(image.mode.removesuffix("A")) if image.mode.endswith("A") else image
        enhanced = Image.fromarray(self._enhance_array(np.asarray(color), *arguments))
        if image.mode.endswith("A"):
            enhanced.putalpha(image.getchannel("A"))
        # EXIF with its orientation, colour profile and resolution.
        enhanced.info = dict(image.info)
        return enhanced

    def _enhance_array(self, array: np.ndarray, *arguments: object) -> np.ndarray:
        if not isinstance(array, np.ndarray):
            raise EnhancementInputError(
                f"a {type(array).__name__} cannot be enhanced; use an array, a PIL image, or a Photograph "
                "from retina_adapt.imaging.read_photograph"
            )
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
        low = pixels.astype(np.float32) / peak
        high = self._enhance(low, *arguments)
        converted = (np.rint(high * peak) if peak > 1 else high).astype(array.dtype)
        # What did not change keeps every bit, also of types finer than float32.
        return np.where(high == low, pixels, converted).reshape(array.shape)

    def _enhance(
        self,
        pixels: np.ndarray,
        mode: EnhancementMode,
        steps: int,
        seed: int,
        field_of_view: str,
        mask: np.ndarray | None,
        name: str,
    ) -> np.ndarray:
        """float32 (H, W, C) in [0, 1] to the same."""
        found = find_field_of_view(pixels, name=name, given_mask=mask, shape=field_of_view)
        crop = SquareCrop.around(found)
        square = crop.extract(pixels)
        frame_size = self.backbone.settings.image_size
        low = resize(square, frame_size, frame_size)
        low = self._with_backbone_channels(low, name)
        tensor = torch.from_numpy(low.transpose(2, 0, 1)[None].copy())
        tensor = tensor.to(next(self.backbone.parameters()).device)
        if self._active is None:
            with adaptors_bypassed(self.backbone):
                enhanced = enhance_frames(self.backbone, tensor, mode=mode, steps=steps, seeds=[seed])
        else:
            enhanced = enhance_frames(self.backbone, tensor, mode=mode, steps=steps, seeds=[seed])
        high = enhanced[0].permute(1, 2, 0).cpu().numpy()
        change = high - low
        if pixels.shape[2] < change.shape[2]:
            # The mean of the change, not of the colours: no change stays exactly none.
            change = change.mean(axis=2, keepdims=True)
        # `resize` clips to [0, 1]: the signed change is enlarged as two halves.
        enlarged = resize(np.maximum(change, 0), crop.side, crop.side)
        enlarged = enlarged - resize(np.maximum(-change, 0), crop.side, crop.side)
        return crop.restore(np.clip(square + enlarged, 0, 1), onto=pixels)

    def _with_backbone_channels(self, pixels: np.ndarray, name: str) -> np.ndarray:
        channels = self.backbone.settings.image_channels
        if pixels.shape[2] == channels:
            return pixels
        if pixels.shape[2] == 1:
            return np.repeat(pixels, channels, axis=2)
        raise EnhancementInputError(
            f"{name}: is a colour image, but the backbone was trained on images of {channels} channel; "
            "convert it to grey, or load another backbone"
        )

    def _require(self, name: str) -> None:
        if name not in self.adaptors:
            raise AdaptorNameError(
                f"no adaptor named '{name}' is loaded; loaded are: {', '.join(self.adaptors) or 'none'}"
            )
