"""Denoisers that backbones are built with."""

from retina_adapt.backbones.denoisers.transformer import TransformerDenoiser
from retina_adapt.backbones.denoisers.unet import UNetDenoiser

__all__ = ["TransformerDenoiser", "UNetDenoiser"]
