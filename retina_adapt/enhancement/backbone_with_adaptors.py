"""A frozen backbone with named adaptors, which are loaded, swapped, blended, chained and deleted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from peft import PeftModel

from retina_adapt.adaptors import (
    KINDS,
    AdaptorArithmeticError,
    AdaptorMetadata,
    AdaptorNameError,
    describe_adaptor,
    detach_adaptor,
    kind_of,
    load_adaptor,
    set_adaptor_weights,
)
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.embedded import DEFAULT_BACKBONE, adaptor_folder, backbone_folder
from retina_adapt.enhancement.errors import EnhancementInputError


class BackboneWithAdaptors:
    """A frozen backbone with named adaptors: none, one, or several active, blended by weights or used in sequence.

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
    def from_pretrained(cls, backbone: str | Path = DEFAULT_BACKBONE, *, device: str | torch.device = "cpu") -> Self:
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

    def set_adaptor_sequence(self, names: str | Sequence[str] | Mapping[str, float]) -> None:
        """Use one adaptor, or several one after the other, of any kinds that can be loaded together; [] uses none.

        A mapping gives each adaptor, in its order, a weight; one with a weight other than 1 must be of a kind whose
        changes add up, as for `set_adaptor_weights`.

        Each adaptor sees what the one before made of the photograph's copies, for instance the blur that is left once
        noise and shade are gone. Each costs a pass of the network; what they changed together is applied to the
        photograph once.

        Raises:
            AdaptorNameError: no adaptor of one of these names is loaded.
            AdaptorArithmeticError: see `retina_adapt.adaptors.set_adaptor_weights`.
        """
        if isinstance(names, str):
            names = [names]
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
