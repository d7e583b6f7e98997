"""Autoencoders for building backbones."""

from retina_adapt.backbones.autoencoders.isotropic import IsotropicAutoencoder
from retina_adapt.backbones.autoencoders.kl import KLAutoencoder
from retina_adapt.backbones.autoencoders.vq import VQAutoencoder

__all__ = ["IsotropicAutoencoder", "KLAutoencoder", "VQAutoencoder"]
