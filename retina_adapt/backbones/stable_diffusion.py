"""Backbones from checkpoints in the shape of Stable Diffusion: a folder with `vae`, `unet` and `scheduler`.

There is no text: the UNet attends to a null embedding instead. It has no input for a condition latent, so its first
convolution gets extra input channels whose weights start at zero (Brooks et al. 2023, "InstructPix2Pix"): before
training, the network behaves as it did.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, ModelMixin, UNet2DConditionModel
from torch import Tensor, cat, nn

from retina_adapt.backbones.autoencoders import KLAutoencoder
from retina_adapt.backbones.denoisers.unet import unet_hook_points
from retina_adapt.backbones.hook_points import HookPoint
from retina_adapt.backbones.parts import LatentDenoiser, register_part
from retina_adapt.backbones.reconstruction_backbone import BackboneSettings, ReconstructionBackbone
from retina_adapt.backbones.registry import register_backbone
from retina_adapt.backbones.shape import BackboneShape, BackboneShapeError
from retina_adapt.errors import ran_out_of_memory


@register_part
class TextConditionedDenoiser(LatentDenoiser, UNet2DConditionModel):
    """A text-to-image UNet with a null text embedding and the condition latent concatenated to the noisy one."""

    def denoise(self, noisy_latents: Tensor, timesteps: Tensor, condition_latents: Tensor) -> Tensor:
        # One token suffices: attention over any number of equal tokens gives the same.
        null_text = noisy_latents.new_zeros(len(noisy_latents), 1, self.config.cross_attention_dim)
        return self(cat([noisy_latents, condition_latents], dim=1), timesteps, encoder_hidden_states=null_text).sample

    def start_at_zero(self) -> None:
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def hook_points(self) -> list[HookPoint]:
        return unet_hook_points(self)


@register_backbone("stable-diffusion")
def build_stable_diffusion(shape: BackboneShape) -> ReconstructionBackbone:
    """Build a backbone from the checkpoint folder `shape.pretrained`, with its sizes and its noise schedule.

    Raises:
        BackboneShapeError: no folder is given, or it does not hold such a checkpoint in safetensors, or the checkpoint
            takes images of another number of channels or other sizes.
    """
    if shape.pretrained is None:
        raise BackboneShapeError(
            "a stable-diffusion backbone starts from a checkpoint: set backbone.pretrained to a folder in diffusers' "
            "layout, with vae, unet and scheduler"
        )
    folder = Path(shape.pretrained)
    autoencoder: KLAutoencoder = _read(KLAutoencoder, folder, "vae")
    unet = _read(UNet2DConditionModel, folder, "unet")
    try:
        scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True)
    except Exception as error:  # diffusers checks few values, so its constructors may raise anything
        raise BackboneShapeError(f"{folder / 'scheduler'}: cannot be read: {error}") from error
    scheduler.register_to_config(timestep_spacing="trailing", clip_sample=False)
    if autoencoder.config.in_channels != shape.image_channels:
        raise BackboneShapeError(
            f"{folder / 'vae'}: takes images of {autoencoder.config.in_channels} channels, not {shape.image_channels}; "
            "set backbone.image_channels"
        )
    if shape.image_size % autoencoder.stride:
        raise BackboneShapeError(
            f"backbone.image_size is {shape.image_size}; {folder / 'vae'} needs a multiple of {autoencoder.stride}"
        )
    denoiser = _with_condition_channels(unet, autoencoder.latent_channels, folder / "unet")
    backbone = ReconstructionBackbone(
        autoencoder, denoiser, scheduler, BackboneSettings(shape.image_size, shape.image_channels)
    )
    backbone.latent_mean.fill_(autoencoder.config.shift_factor or 0.0)
    backbone.latent_deviation.fill_(1 / autoencoder.config.scaling_factor)
    return backbone


def _read(model_class: type[ModelMixin], folder: Path, subfolder: str) -> Any:
    try:
        model, report = model_class.from_pretrained(
            folder, subfolder=subfolder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # as above
        if ran_out_of_memory(error):
            raise
        raise BackboneShapeError(
            f"{folder / subfolder}: cannot be read: {error}. Weights must be in safetensors"
        ) from error
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[problem]:
            raise BackboneShapeError(
                f"{folder / subfolder}: {problem.replace('_keys', '')} tensors, the first being '{report[problem][0]}'"
            )
    return model


# Conditions besides a text: the sizes and pooled text of SDXL, classes, embedded images.
FURTHER_CONDITIONS = ("addition_embed_type", "class_embed_type", "num_class_embeds", "encoder_hid_dim_type")


def _with_condition_channels(unet: UNet2DConditionModel, latent_channels: int, path: Path) -> TextConditionedDenoiser:
    further = [key for key in FURTHER_CONDITIONS if unet.config[key] is not None]
    if further or not isinstance(unet.config.cross_attention_dim, int):
        raise BackboneShapeError(
            f"{path}: has other conditions than one text embedding ({', '.join(further) or 'cross_attention_dim'}); "
            "use a checkpoint of the shape of Stable Diffusion 1 or 2"
        )
    given = unet.config.in_channels
    if given not in (latent_channels, 2 * latent_channels):
        raise BackboneShapeError(
            f"{path}: takes {given} channels; expected the latents' {latent_channels}, or twice that with a condition"
        )
    config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
    denoiser = TextConditionedDenoiser.from_config(config | {"in_channels": 2 * latent_channels})
    tensors = unet.state_dict()
    weight = tensors["conv_in.weight"]
    zeros = torch.zeros(weight.shape[0], 2 * latent_channels - given, *weight.shape[2:], dtype=weight.dtype)
    denoiser.load_state_dict(tensors | {"conv_in.weight": cat([weight, zeros], dim=1)}, strict=True)
    return denoiser
