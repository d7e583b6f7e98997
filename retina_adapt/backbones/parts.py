"""What a backbone is made of: an autoencoder and a denoiser, each a diffusers model with a few methods of its own.

A part is a `diffusers.ModelMixin` with a registered configuration, so that diffusers stores it. `register_part` makes
its class known by name: a backbone folder from a stranger names classes, and only registered ones are constructed.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from diffusers import ModelMixin
from torch import Tensor

from retina_adapt.backbones.hook_points import HookPoint
from retina_adapt.errors import DuplicateNameError, RetinaAdaptError


class UnregisteredPartError(RetinaAdaptError):
    """A part whose class no backbone folder can name, so that it could be stored and not be read."""


class LatentAutoencoder:
    """Methods of an autoencoder; a mix-in for a diffusers model.

    Its input is an image centred on 0, (batch, channels, height, width) in [-1, 1]; where the backbone rearranges
    space to depth, after that.

    Attributes:
        stride: input pixels per latent pixel, along a side.
        latent_channels: channels of a latent.
        regularization_weight: of the second loss of `reconstruct`, where a training is not told another.
    """

    stride: int
    latent_channels: int
    regularization_weight: float = 1e-6

    def to_latents(self, centered: Tensor) -> Tensor:
        """Latents (batch, latent_channels, height / stride, width / stride), nothing random in them."""
        raise NotImplementedError

    def from_latents(self, latents: Tensor) -> Tensor:
        """The inverse of `to_latents`, as well as it was learnt; not clamped."""
        raise NotImplementedError

    def reconstruct(self, centered: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What training runs: the reconstruction, and a regularisation loss of the latents (a scalar).

        Args:
            seeds: one a row, for noise on the latents.
        """
        return self.from_latents(self.to_latents(centered)), centered.new_zeros(())

    def start_from(self, centered: Tensor) -> None:
        """Start from what a sample of the training images tells, before the first step. Nothing by default."""

    def hook_points(self) -> list[HookPoint]:
        """Of the groups `encoder` and `decoder`; names relative to the autoencoder."""
        raise NotImplementedError

    def last_layer(self) -> torch.nn.Parameter:
        """The weight of the last layer, at which losses on images are balanced against each other."""
        raise NotImplementedError


class LatentDenoiser:
    """Methods of a denoiser; a mix-in for a diffusers model."""

    @property
    def divisor(self) -> int:
        """What the sides of latents must be divisible by, since the denoiser divides them further."""
        return 1

    def denoise(self, noisy_latents: Tensor, timesteps: Tensor, condition_latents: Tensor) -> Tensor:
        """The prediction of the scheduler's prediction type; all latents (batch, latent_channels, h, w).

        Args:
            timesteps: integers, (batch,) or a scalar for all rows.
        """
        raise NotImplementedError

    def start_at_zero(self) -> None:
        """Make an untrained denoiser predict zero everywhere."""
        raise NotImplementedError

    def hook_points(self) -> list[HookPoint]:
        """Of the denoiser's groups; names relative to the denoiser."""
        raise NotImplementedError


PartClass = TypeVar("PartClass", bound=type[ModelMixin])
_part_classes: dict[str, type[ModelMixin]] = {}


def register_part(part_class: PartClass) -> PartClass:
    """Decorator: let backbone folders name this class.

    Raises:
        DuplicateNameError: a class of this name is registered already.
    """
    name = part_class.__name__
    if name in _part_classes:
        raise DuplicateNameError(f"a part named '{name}' is registered already; choose another name")
    _part_classes[name] = part_class
    return part_class


def part_classes(kind: type[LatentAutoencoder] | type[LatentDenoiser]) -> dict[str, type[ModelMixin]]:
    """The registered autoencoders, or denoisers, by class name."""
    return {name: part_class for name, part_class in _part_classes.items() if issubclass(part_class, kind)}


def require_registered(autoencoder: LatentAutoencoder, denoiser: LatentDenoiser | None) -> None:
    """Refuse the parts of a backbone that could be stored and not be read.

    Raises:
        UnregisteredPartError: a class is not registered, or lacks the methods of its kind.
    """
    parts: list[tuple[Any, type[LatentAutoencoder] | type[LatentDenoiser]]] = [(autoencoder, LatentAutoencoder)]
    if denoiser is not None:
        parts.append((denoiser, LatentDenoiser))
    for part, kind in parts:
        name = type(part).__name__
        if part_classes(kind).get(name) is not type(part):
            raise UnregisteredPartError(
                f"{name} ({type(part).__module__}): no stored backbone with this part could be read; derive the class "
                f"from {kind.__name__}, and write @register_part above it"
            )


def seeded_noise(seeds: Sequence[int], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Standard normal noise (len(seeds), *shape), row i a function of seeds[i] alone."""
    return draw_noise(seeded_generators(seeds), shape, like)


def seeded_generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator a row; on the CPU, so that an image gets the same noise on any device, in any batch and rank."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def draw_noise(generators: Sequence[torch.Generator], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """The next standard normal noise (len(generators), *shape) of each row's generator."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(like)
