"""diffusers' `DiTTransformer2DModel`, a diffusion transformer (Peebles and Xie 2023), without class conditioning."""

import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor, cat, nn

from retina_adapt.backbones.hook_points import HookGroup, HookPoint
from retina_adapt.backbones.parts import LatentDenoiser, register_part


@register_part
class TransformerDenoiser(LatentDenoiser, DiTTransformer2DModel):
    """A transformer that takes the condition concatenated to the noisy latent; frames must be square."""

    @property
    def divisor(self) -> int:
        return int(self.config.patch_size)

    def denoise(self, noisy_latents: Tensor, timesteps: Tensor, condition_latents: Tensor) -> Tensor:
        rows = len(noisy_latents)
        # The last entry of the class table means "no class".
        no_class = torch.full((rows,), self.config.num_embeds_ada_norm, device=noisy_latents.device)
        latents = cat([noisy_latents, condition_latents], dim=1)
        return self(latents, timestep=timesteps.expand(rows), class_labels=no_class).sample

    def start_at_zero(self) -> None:
        nn.init.zeros_(self.proj_out_2.weight)
        nn.init.zeros_(self.proj_out_2.bias)

    def hook_points(self) -> list[HookPoint]:
        """The transformer's blocks: the first third counts as down, the last as up, the rest as mid."""
        count, width = len(self.transformer_blocks), self.inner_dim
        third = max(1, count // 3)
        groups: list[HookGroup] = ["denoiser.down"] * third
        groups += ["denoiser.mid"] * max(0, count - 2 * third)
        groups += ["denoiser.up"] * third
        return [
            HookPoint(f"transformer_blocks.{index}", group, width, layout="tokens")
            for index, group in enumerate(groups[:count])
        ]
