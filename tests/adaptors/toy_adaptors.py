"""One small adaptor of every kind, and metadata, for the contract tests."""

import torch
from peft import PeftConfig, PeftModel
from torch import Tensor

from retina_adapt.adaptors import AdaptorMetadata, AdaptorSettings, adaptor_parameters, attach_adaptor
from retina_adapt.backbones import ReconstructionBackbone

SETTINGS = {
    "residual": AdaptorSettings(kind="residual", context_grid=4, context_channels=8),
    "residual, bottleneck": AdaptorSettings(kind="residual", bottleneck_channels=4, context_grid=0),
    "residual, depthwise": AdaptorSettings(kind="residual", depthwise=True, context_grid=0),
    "serial": AdaptorSettings(kind="serial"),
    "lora": AdaptorSettings(kind="lora", rank=4, alpha=2),
    "dora": AdaptorSettings(kind="dora", rank=4),
    "loha": AdaptorSettings(kind="loha", rank=4),
    "lokr": AdaptorSettings(kind="lokr", rank=4),
    "ia3": AdaptorSettings(kind="ia3"),
    "boft": AdaptorSettings(kind="boft", rank=4),
}

METADATA = AdaptorMetadata(
    data_sets=["drawn photographs"],
    degradation="light",
    severity=[0.4, 0.9],
    pairs_seen=12,
    training_steps={"autoencoder": 3},
    seed=0,
    recipe="a test",
    metrics={"fast psnr": 21.5},
    protocol="made up",
    license="Apache-2.0",
    intended_use="testing",
    backbone_name="toy",
)


def config_of(case: str) -> PeftConfig:
    """A fresh configuration."""
    return SETTINGS[case].to_peft_config()


def attach(backbone: ReconstructionBackbone | PeftModel, case: str, name: str) -> PeftModel:
    """Attach an untrained adaptor, always with the same values."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return attach_adaptor(backbone, config_of(case), name)


def disturb(adapted: PeftModel, name: str, seed: int = 0) -> None:
    """Give an adaptor weights that change the output, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adaptor_parameters(adapted, name):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)


def outputs(backbone: ReconstructionBackbone, frames: Tensor) -> list[Tensor]:
    """What each part of the backbone makes of the frames (batch, 3, 64, 64), in their precision."""
    timesteps = torch.tensor([3, 700, 50])[: len(frames)]
    with torch.no_grad():
        latents = backbone.encode(frames)
        # Not the adapted latents: a part's rows shall depend on this part alone.
        given = torch.rand(latents.shape, generator=torch.Generator().manual_seed(2)).to(latents)
        made = [latents, backbone.decode(given)]
        return made if backbone.denoiser is None else [*made, backbone.predict(given, timesteps, given)]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    """Bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def largest_difference(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest difference, relative to the largest value."""
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(one, other, strict=True))
