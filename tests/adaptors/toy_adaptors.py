"""One small configuration and metadata for every adaptor kind, for the contract tests."""

import torch
from peft import PeftConfig, PeftModel

from retina_adapt.adaptors import AdaptorKind, AdaptorMetadata, ResidualAdaptorConfig, adaptor_parameters

CONFIGS = {
    "residual": lambda: ResidualAdaptorConfig(context_grid=4, context_channels=8),
    "residual, bottleneck": lambda: ResidualAdaptorConfig(bottleneck_channels=4, context_grid=0),
}
KINDS_COVERED = {AdaptorKind.RESIDUAL}

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


def config_of(kind: str) -> PeftConfig:
    """A fresh configuration."""
    return CONFIGS[kind]()


def disturb(adapted: PeftModel, name: str, seed: int = 0) -> None:
    """Give an adaptor weights that change the output, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adaptor_parameters(adapted, name):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
