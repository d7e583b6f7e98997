"""The parts of a backbone: an autoencoder and a denoiser, each a diffusers model with a few methods of ours.

A part is a `diffusers.ModelMixin` with a registered configuration, so diffusers can store it. `register_part` makes
its class known by name: backbone folders, which may come from strangers, name classes, and only registered ones are
constructed.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from diffusers import ModelMixin
from torch import Tensor

from retina_adapt.backbones.hook_points import HookPoint
from retina_adapt.errors import DuplicateNameError, RetinaAdaptError


class UnregisteredPartError(RetinaAdaptError):
    """A part whose class no backbone folder can name, so it could be stored but not read again."""


class SeedCountError(RetinaAdaptError):
    """More or fewer seeds than rows in the batch."""


class LatentAutoencoder:
    """The methods of an autoencoder, as a mix-in for a diffusers model.

    Its input is an image centred on 0, (batch, channels, height, width) in [-1, 1], after any rearrangement from space
    to depth by the backbone.

    Attributes:
        stride: input pixels per latent pixel, along a side.
        latent_channels: channels of a latent.
        regularization_weight: default weight of the regularisation loss of `reconstruct` in training.
    """

    stride: int
    latent_channels: int
    regularization_weight: float = 1e-6

    def to_latents(self, centered: Tensor) -> Tensor:
        """Deterministic latents (batch, latent_channels, height / stride, width / stride)."""
        raise NotImplementedError

    def from_latents(self, latents: Tensor) -> Tensor:
        """The learnt, approximate inverse of `to_latents`; not clamped."""
        raise NotImplementedError

    def reconstruct(self, centered: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The training pass: the reconstruction, and a regularisation loss on the latents (a scalar).

        Args:
            seeds: one for each row, for noise on the latents.
        """
        return self.from_latents(self.to_latents(centered)), centered.new_zeros(())

    def start_from(self, centered: Tensor) -> None:
        """Initialise from a sample of training images, before the first step. Does nothing by default."""

    def hook_points(self) -> list[HookPoint]:
        """Hook points of the groups `encoder` and `decoder`, with names relative to the autoencoder."""
        raise NotImplementedError

    def last_layer(self) -> torch.nn.Parameter:
        """The weight of the last layer, whose gradients balance losses on images against each other."""
        raise NotImplementedError


class LatentDenoiser:
    """The methods of a denoiser, as a mix-in for a diffusers model."""

    @property
    def divisor(self) -> int:
        """The number that must divide the sides of latents, since the denoiser reduces them further."""
        return 1

    def denoise(self, noisy_latents: Tensor, timesteps: Tensor, condition_latents: Tensor) -> Tensor:
        """Predict what the scheduler's prediction type asks for; all latents are (batch, latent_channels, h, w).

        Args:
            timesteps: integers, (batch,) or one scalar for all rows.
        """
        raise NotImplementedError

    def start_at_zero(self) -> None:
        """Make an untrained denoiser predict zero everywhere."""
        raise NotImplementedError

    def hook_points(self) -> list[HookPoint]:
        """Hook points of the denoiser's groups, with names relative to the denoiser."""
        raise NotImplementedError


PartClass = TypeVar("PartClass", bound=type[ModelMixin])
_part_classes: dict[str, type[ModelMixin]] = {}


def register_part(part_class: PartClass) -> PartClass:
    """Decorator that lets backbone folders name this class.

    Raises:
        DuplicateNameError: a class of this name is already registered.
    """
    name = part_class.__name__
    if name in _part_classes:
        raise DuplicateNameError(f"a part named '{name}' is registered already; choose another name")
    _part_classes[name] = part_class
    return part_class


def part_classes(kind: type[LatentAutoencoder] | type[LatentDenoiser]) -> dict[str, type[ModelMixin]]:
    """The registered autoencoders or denoisers, by class name."""
    return {name: part_class for name, part_class in _part_classes.items() if issubclass(part_class, kind)}


def require_registered(autoencoder: LatentAutoencoder, denoiser: LatentDenoiser | None) -> None:
    """Refuse parts of a backbone that could be stored but not read again.

    Raises:
        UnregisteredPartError: a part's class is not registered, or does not derive from its kind's mix-in.
    """
    parts: list[tuple[Any, type[LatentAutoencoder] | type[LatentDenoiser]]] = [(autoencoder, LatentAutoencoder)]
    if denoiser is not None:
        parts.append((denoiser, LatentDenoiser))
    for part, kind in parts:
        name = type(part).__name__
        if part_classes(kind).get(name) is not type(part):
            raise UnregisteredPartError(
                f"{name} ({type(part).__module__}): a stored backbone with this part could not be read; derive the "
                f"class from {kind.__name__}, and write @register_part above it"
            )


def require_seed_of_each_row(seeds: Sequence[int], rows: Tensor) -> None:
    """Raise SeedCountError unless there is one seed for each row: the noise of a single one would be added to all."""
    if len(seeds) != len(rows):
        raise SeedCountError(
            f"there are {len(seeds)} seeds for a batch of {len(rows)}; give one for each, such as range({len(rows)})"
        )


def seeded_noise(seeds: Sequence[int], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Standard normal noise (len(seeds), *shape), where row i depends only on seeds[i]."""
    return draw_noise(seeded_generators(seeds), shape, like)


def seeded_generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator per row, on the CPU so that an image gets the same noise on any device, in any batch and rank."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def draw_noise(generators: Sequence[torch.Generator], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Standard normal noise (len(generators), *shape), each row the next draw from its generator."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(like)
