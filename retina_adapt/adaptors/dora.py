"""The identity start of DoRA on a half-precision backbone."""

from typing import Any

import torch
from peft import PeftModel

from retina_adapt.adaptors.layers import adaptor_layers


@torch.no_grad()
def start_magnitudes_in_single_precision(adapted: PeftModel, name: str) -> None:
    """Make an untrained DoRA adaptor start as the identity even on a half-precision backbone.

    DoRA divides its magnitudes by the norms of the weights. PEFT computes the magnitudes in the backbone's precision
    and the norms in the adaptor's, so their quotient is 1 only in single precision.
    """
    layer: Any  # PEFT's base class for layers lacks LoRA's attributes
    for _, layer in adaptor_layers(adapted, name):
        magnitude = layer.lora_magnitude_vector[name]
        requires_grad = magnitude.weight.requires_grad
        magnitude.update_layer(
            base_layer=layer.get_base_layer(),
            lora_A=layer.lora_A[name].weight,
            lora_B=layer.lora_B[name].weight,
            scaling=layer.scaling[name],
        )
        magnitude.weight.requires_grad_(requires_grad)
