"""The `Enhancer`: photographs of any size in and out of a backbone with adaptors."""

import dataclasses
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from retina_adapt.adaptors import adaptors_bypassed
from retina_adapt.enhancement.backbone_with_adaptors import BackboneWithAdaptors
from retina_adapt.enhancement.copies import PhotographCopies, apply_at_own_size, prepare_copies
from retina_adapt.enhancement.detail import SmallChange
from retina_adapt.enhancement.errors import EnhancementInputError, require_choice
from retina_adapt.enhancement.images import AnyImage, take_apart
from retina_adapt.enhancement.network import small_changes
from retina_adapt.enhancement.result import Enhancement
from retina_adapt.enhancement.settings import EnhancementSettings
from retina_adapt.imaging import FieldOfViewShape
from retina_adapt.suggestions import did_you_mean


class Enhancer(BackboneWithAdaptors):
    """Enhances photographs with a frozen backbone and whichever of its named adaptors are active.

    >>> enhancer = Enhancer.from_pretrained()
    >>> enhancer.load_adaptor("light")
    >>> enhanced = enhancer(photograph)

    Raises:
        AdaptedBackboneError: the backbone already carries adaptors, which this class would not know of.
    """

    @overload
    def __call__(self, image: Sequence[AnyImage], **options: Any) -> list[AnyImage]: ...

    @overload
    def __call__(self, image: AnyImage, **options: Any) -> AnyImage: ...

    def __call__(self, image: Any, **options: Any) -> Any:
        """Enhance one picture or several; each result has the type, size, orientation and bit depth of its picture.

        The network sees the square around the field of view at the backbone's frame size. What it changes there is
        applied to the photograph at its own size; `detail` decides what happens to detail finer than the frame. Nothing
        changes outside the field of view.

        Args:
            image: a `Photograph`; a PIL image of mode L, LA, RGB or RGBA; an array (height, width) or (height, width,
                channels); a tensor (channels, height, width) or (batch, channels, height, width); or a list of these.
                Arrays and tensors are uint8, uint16, or floating point in [0, 1], with channels red, green and blue.
            options: fields of `EnhancementSettings`, and the arguments of `enhance` other than `settings`, by name. For
                several pictures, `mask` and `name` are lists, as for `enhance_all`.

        Raises:
            FieldOfViewError: no field of view is found; give a mask, or field_of_view="full_frame".
            EnhancementInputError: an image or an option cannot be used.
            EnhancementMemoryError: not even one frame, or the smallest tile, fits in memory.
            MissingDenoiserError, SamplingStepsError, UnknownSchedulerError: see `EnhancementSettings.check`.
        """
        of_enhance = ("field_of_view", "mask", "name")
        own = {key: options.pop(key) for key in of_enhance if key in options}
        known = [*(item.name for item in dataclasses.fields(EnhancementSettings)), *of_enhance]
        if unknown := [name for name in options if name not in known]:
            raise EnhancementInputError(
                f"there is no option '{unknown[0]}'; known are {', '.join(known)}{did_you_mean(unknown[0], known)}"
            )
        settings = EnhancementSettings(**options)
        if isinstance(image, Tensor) and image.dim() == 4:
            return torch.stack([result.image for result in self.enhance_all(list(image), settings, **own)])
        if isinstance(image, list | tuple):
            return [result.image for result in self.enhance_all(image, settings, **own)]
        return self.enhance(image, settings, **own).image

    def enhance(
        self,
        image: AnyImage,
        settings: EnhancementSettings | None = None,
        *,
        field_of_view: FieldOfViewShape = "auto",
        mask: np.ndarray | None = None,
        name: str = "photograph",
    ) -> Enhancement[AnyImage]:
        """Enhance one picture, and report how.

        Args:
            field_of_view: auto, circle or full_frame; see `find_field_of_view`.
            mask: the known field of view, bool (height, width).
            name: what error messages call the picture.

        Raises:
            RetinaAdaptError: as calling the enhancer does.
        """
        return self.enhance_all([image], settings, field_of_view=field_of_view, mask=[mask], name=[name])[0]

    def enhance_all(
        self,
        images: Sequence[AnyImage],
        settings: EnhancementSettings | None = None,
        *,
        field_of_view: FieldOfViewShape = "auto",
        mask: Sequence[np.ndarray | None] | None = None,
        name: str | Sequence[str] = "photograph",
    ) -> list[Enhancement[AnyImage]]:
        """Enhance pictures of any sizes, whose frames share the batches; arguments and errors as for `enhance`."""
        settings = settings or EnhancementSettings()
        if not isinstance(settings, EnhancementSettings):
            raise EnhancementInputError(
                f"settings are EnhancementSettings, not a {type(settings).__name__}; give EnhancementSettings(...)"
            )
        if isinstance(mask, np.ndarray) and mask.ndim == 2:
            raise EnhancementInputError("mask is one array; for several pictures give a list of masks, one for each")
        names = [f"{name} {position}" for position in range(len(images))] if isinstance(name, str) else name
        masks = [None] * len(images) if mask is None else mask
        if not len(names) == len(masks) == len(images):
            raise EnhancementInputError(
                f"{len(images)} pictures, {len(masks)} masks, {len(names)} names; give one of each per picture"
            )
        settings.check(self.backbone)
        parts = [take_apart(image) for image in images]
        prepared = [
            self.prepare(
                own_parts.pixels,
                settings,
                field_of_view=field_of_view,
                mask=own_mask,
                transparent=own_parts.transparent,
                name=own_name,
            )
            for own_parts, own_mask, own_name in zip(parts, masks, names, strict=True)
        ]
        changes = self.small_changes(prepared, settings)
        return [
            Enhancement(
                image=own_parts.put_together(apply_at_own_size(photograph, change)),
                field_of_view=photograph.field_of_view,
                adaptor=self.active_adaptor,
                settings=settings,
                tile_size=change.tile_side,
            )
            for photograph, change, own_parts in zip(prepared, changes, parts, strict=True)
        ]

    def prepare(
        self,
        pixels: np.ndarray,
        settings: EnhancementSettings,
        *,
        field_of_view: FieldOfViewShape = "auto",
        mask: np.ndarray | None = None,
        transparent: np.ndarray | None = None,
        name: str = "photograph",
    ) -> PhotographCopies:
        """The first of the three stages of `enhance`, without the network, for programs that let stages overlap.

        Args:
            pixels: float32 (H, W, C) in [0, 1].
            field_of_view, mask, transparent, name: see `find_field_of_view`.

        Raises:
            FieldOfViewError, EnhancementInputError: as calling the enhancer.
        """
        require_choice("field_of_view", field_of_view, FieldOfViewShape)
        larger_copy = settings.larger_copy(self.backbone)
        return prepare_copies(
            pixels,
            frame_size=self.backbone.settings.image_size,
            working_size=larger_copy[0] if larger_copy else None,
            field_of_view=field_of_view,
            mask=mask,
            transparent=transparent,
            name=name,
        )

    def small_changes(self, prepared: Sequence[PhotographCopies], settings: EnhancementSettings) -> list[SmallChange]:
        """The second stage: the network, with the active adaptors; `apply_at_own_size` is the third.

        Raises:
            EnhancementInputError, EnhancementMemoryError: see `retina_adapt.enhancement.network.small_changes`.
        """
        settings.check(self.backbone)
        if not self._passes:
            with adaptors_bypassed(self.backbone):
                return small_changes(self.backbone, prepared, settings)
        self._activate(self._passes[0])
        changes = small_changes(self.backbone, prepared, settings)
        for weights in self._passes[1:]:
            self._activate(weights)
            prepared = [copies.after(change) for copies, change in zip(prepared, changes, strict=True)]
            further = small_changes(self.backbone, prepared, settings)
            changes = [change.followed_by(next_one) for change, next_one in zip(changes, further, strict=True)]
        return changes
