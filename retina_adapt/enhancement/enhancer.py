"""The `Enhancer`: a backbone with named adaptors, and photographs of any size in and out."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor

from retina_adapt.adaptors import (
    KINDS,
    AdaptorArithmeticError,
    AdaptorMetadata,
    AdaptorNameError,
    adaptors_bypassed,
    describe_adaptor,
    detach_adaptor,
    kind_of,
    load_adaptor,
    set_adaptor_weights,
)
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.embedded import DEFAULT_BACKBONE, adaptor_folder, backbone_folder
from retina_adapt.enhancement.copies import PhotographCopies, apply_at_own_size, prepare_copies
from retina_adapt.enhancement.detail import SmallChange
from retina_adapt.enhancement.errors import EnhancementInputError, require_choice
from retina_adapt.enhancement.images import AnyImage, take_apart
from retina_adapt.enhancement.network import small_changes
from retina_adapt.enhancement.result import Enhancement
from retina_adapt.enhancement.settings import EnhancementSettings
from retina_adapt.imaging import FieldOfViewShape
from retina_adapt.suggestions import did_you_mean


class Enhancer:
    """A frozen backbone with named adaptors: none, one, or several active, blended by weights or used in sequence.

    >>> enhancer = Enhancer.from_pretrained()
    >>> enhancer.load_adaptor("light")
    >>> enhanced = enhancer(photograph)

    Raises:
        AdaptedBackboneError: the backbone already carries adaptors, which this class would not know of.
    """

    def __init__(self, backbone: ReconstructionBackbone) -> None:
        # Before it is frozen: its adaptors may be in training.
        backbone.require_without_adaptors(
            "to see what they do while they train, call `enhance_frames`; to use them here, save each with "
            "`save_adaptor`, and load it with `load_adaptor` of an Enhancer on a backbone without adaptors"
        )
        self.backbone = backbone.eval().requires_grad_(False)
        self._adapted: PeftModel | None = None
        self._passes: list[dict[str, float]] = []
        self._metadata: dict[str, AdaptorMetadata] = {}

    @classmethod
    def from_pretrained(
        cls, backbone: str | Path = DEFAULT_BACKBONE, *, device: str | torch.device = "cpu"
    ) -> "Enhancer":
        """Load a backbone by its embedded name or from its folder.

        Raises:
            UnknownModelError, BackboneFileError: there is no such backbone, or it is damaged.
            EnhancementInputError: there is no such device.
        """
        loaded = load_backbone(backbone_folder(backbone))
        try:
            return cls(loaded.to(device))
        except (RuntimeError, AssertionError) as error:
            raise EnhancementInputError(
                f"device '{device}' cannot be used ({str(error).splitlines()[0]}); use cpu, or cuda "
                "where PyTorch sees a GPU"
            ) from error

    @property
    def adaptors(self) -> list[str]:
        """Names of the loaded adaptors."""
        return [] if self._adapted is None else list(self._adapted.peft_config)

    @property
    def adapted(self) -> PeftModel | None:
        """PEFT's model around the backbone, for blending adaptors and swapping their tensors; None without adaptors.

        Do not merge: enhancement also needs the frozen backbone's pass. After tensors are swapped, `metadata_of` still
        describes the adaptor that was loaded; to save the new one with its card, load it.
        """
        return self._adapted

    def kind_of(self, name: str) -> str:
        """The kind of a loaded adaptor: residual, lora and so on.

        Raises:
            AdaptorNameError: no adaptor of this name is loaded.
        """
        return kind_of(self._require(name).peft_config[name])

    def metadata_of(self, name: str) -> AdaptorMetadata:
        """Where a loaded adaptor comes from.

        Raises:
            AdaptorNameError: no adaptor of this name is loaded, or it was not loaded from a file.
        """
        self._require(name)
        if name not in self._metadata:
            raise AdaptorNameError(
                f"'{name}' was not loaded from a file, so nothing is known of it; save it with `save_adaptor`, and "
                "load that"
            )
        return self._metadata[name]

    @property
    def active_adaptor(self) -> str | None:
        """What is active, as text: `light`, `light + 0.5 haze` or `mixed, then blur`; None for the plain backbone."""
        passes = [
            " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in weights.items())
            for weights in self._passes
        ]
        return ", then ".join(passes) or None

    @property
    def active_passes(self) -> list[dict[str, float]]:
        """What is active: the adaptors of each pass with their weights; no pass means the plain backbone."""
        return [dict(weights) for weights in self._passes]

    def load_adaptor(self, adaptor: str | Path, name: str | None = None) -> str:
        """Load an adaptor by its embedded name, or from its folder or single file, and make it the active one.

        Args:
            name: what to call it; by default the name on its card, wherever its files are.

        Returns:
            The name.

        Raises:
            AdaptorNameError: an adaptor of this name is loaded already, or the name cannot be used.
            UnknownModelError, AdaptorFileError: see `retina_adapt.adaptors.load_adaptor`.
        """
        folder = adaptor_folder(adaptor)
        metadata = describe_adaptor(folder).metadata
        name = name or str(metadata.name)  # which every adaptor on disk has
        if name in self.adaptors:
            raise AdaptorNameError(
                f"{adaptor}: an adaptor named '{name}' is loaded already; give this one another name (name= in Python, "
                "NAME=PATH on the command line)"
            )
        self._adapted = load_adaptor(self._adapted or self.backbone, folder, name)
        self._metadata[name] = metadata
        self.set_adaptor(name)
        return name

    def set_adaptor(self, name: str | None) -> None:
        """Use the adaptor `name`, with weight 1; None uses none.

        Raises:
            AdaptorNameError: no adaptor of this name is loaded.
        """
        self._use([] if name is None else [{name: 1.0}])

    def set_adaptor_weights(self, weights: Mapping[str, float]) -> None:
        """Use several adaptors together, each change scaled by its weight; no weights use none.

        A single adaptor with the weight 1 may be of any kind; otherwise, kinds must be those whose changes add up.
        Weights last until they are set again.

        Raises:
            AdaptorNameError: no adaptor of one of these names is loaded.
            AdaptorArithmeticError: see `retina_adapt.adaptors.set_adaptor_weights`.
        """
        self._use([dict(weights)] if weights else [])

    def set_adaptor_sequence(self, names: Sequence[str] | Mapping[str, float]) -> None:
        """Use several adaptors one after the other, of any kinds that can be loaded together; no names use none.

        A mapping gives each adaptor, in its order, a weight; one with a weight other than 1 must be of a kind whose
        changes add up, as for `set_adaptor_weights`.

        Each adaptor sees what the one before made of the photograph's copies, for instance the blur that is left once
        noise and shade are gone. Each costs a pass of the network; what they changed together is applied to the
        photograph once.

        Raises:
            AdaptorNameError: no adaptor of one of these names is loaded.
            AdaptorArithmeticError: see `retina_adapt.adaptors.set_adaptor_weights`.
        """
        weighted = names.items() if isinstance(names, Mapping) else [(name, 1.0) for name in names]
        self._use([{name: weight} for name, weight in weighted])

    def delete_adaptor(self, name: str) -> None:
        """Forget an adaptor and free its memory. If it was active, alone or with others, none is active afterwards.

        Raises:
            AdaptorNameError: no adaptor of this name is loaded.
        """
        adapted = self._require(name)
        is_last = self.adaptors == [name]
        detach_adaptor(adapted, name)
        self._metadata.pop(name, None)
        self._adapted = None if is_last else adapted.requires_grad_(False)
        if any(name in weights for weights in self._passes):
            self._passes = []

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
            self.prepare(pixels, settings, field_of_view=field_of_view, mask=own_mask, name=own_name)
            for (pixels, _), own_mask, own_name in zip(parts, masks, names, strict=True)
        ]
        changes = self.small_changes(prepared, settings)
        return [
            Enhancement(
                image=put_together(apply_at_own_size(photograph, change)),
                field_of_view=photograph.field_of_view,
                adaptor=self.active_adaptor,
                settings=settings,
                tile_size=change.tile_side,
            )
            for photograph, change, (_, put_together) in zip(prepared, changes, parts, strict=True)
        ]

    def prepare(
        self,
        pixels: np.ndarray,
        settings: EnhancementSettings,
        *,
        field_of_view: FieldOfViewShape = "auto",
        mask: np.ndarray | None = None,
        name: str = "photograph",
    ) -> PhotographCopies:
        """The first of the three stages of `enhance`, without the network, for programs that let stages overlap.

        Args:
            pixels: float32 (H, W, C) in [0, 1].

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

    def _use(self, passes: list[dict[str, float]]) -> None:
        for name in (name for weights in passes for name in weights):
            # Before any is activated, so that an error leaves active what was.
            self._require(name)
        try:
            for weights in passes:
                self._activate(weights)
        except AdaptorArithmeticError:
            for weights in self._passes:
                self._activate(weights)
            raise
        self._passes = [{name: float(weight) for name, weight in weights.items()} for weights in passes]

    def _activate(self, weights: Mapping[str, float]) -> None:
        """Have the network's next passes use these adaptors with these weights."""
        adapted, *_ = [self._require(name) for name in weights]
        (first, weight), *others = weights.items()
        if weight == 1 and not others and not KINDS[kind_of(adapted.peft_config[first])].additive:
            adapted.set_adapter(first)
        else:
            # Even for one adaptor with the weight 1: an earlier blend may have left it another.
            set_adaptor_weights(adapted, weights)
        adapted.requires_grad_(False)

    def _require(self, name: str) -> PeftModel:
        if self._adapted is None or name not in self._adapted.peft_config:
            raise AdaptorNameError(
                f"no adaptor named '{name}' is loaded; loaded are: {', '.join(self.adaptors) or 'none'}"
            )
        return self._adapted
