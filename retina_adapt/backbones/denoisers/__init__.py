"""Denoisers for building backbones."""

from retina_adapt.backbones.denoisers.transformer import TransformerDenoiser
from retina_adapt.backbones.denoisers.unet import UNetDenoiser

__all__ = ["TransformerDenoiser", "UNetDenoiser"]
