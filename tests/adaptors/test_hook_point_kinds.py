"""What the residual and the serial adaptor compute, on maps and on tokens."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_adaptors import attach, disturb

from retina_adapt.adaptors import (
    AdaptorSettings,
    HookLayoutError,
    ResidualAdaptorConfig,
    SerialAdaptorConfig,
    attach_adaptor,
)
from retina_adapt.adaptors.hook_point.layout import from_map, to_map
from retina_adapt.adaptors.residual.branch import ResidualBranch, add_enlarged, enlarge_bilinearly, pool_to_grid
from retina_adapt.backbones import (
    BackboneSettings,
    HookPoint,
    HookPointError,
    LatentAutoencoder,
    ReconstructionBackbone,
)

TOKENS = HookPoint("denoiser.transformer_blocks.0", "denoiser.mid", 16, layout="tokens")


def apply_serial(branch: nn.Module, residual: torch.Tensor) -> torch.Tensor:
    """The paper's adaptor: GroupNorm, SiLU, 3x3 convolution."""
    return branch.convolution(F.silu(branch.normalize(residual)))


@pytest.mark.parametrize("identity_start", [True, False])
def test_the_serial_adaptor_stands_between_a_blocks_residual_and_its_identity_shortcut(
    identity_start: bool, small_backbone: ReconstructionBackbone
) -> None:
    block = small_backbone.autoencoder.encoder.blocks[0]
    adapted = attach_adaptor(small_backbone, SerialAdaptorConfig(identity_start=identity_start), "light")
    disturb(adapted, "light")
    layer = small_backbone.autoencoder.encoder.blocks[0]
    features = torch.rand(1, 16, 8, 8)
    with torch.no_grad():
        residual = block.branch(features)
        changed = apply_serial(layer.serial_adaptor["light"], residual)
        expected = features + (residual + changed if identity_start else changed)
        assert torch.allclose(layer(features), expected, atol=1e-5)


@pytest.mark.parametrize("identity_start", [True, False])
def test_the_serial_adaptor_stands_before_a_convolutional_shortcut(
    identity_start: bool, trained_backbone_of, toy_shape_of
) -> None:
    backbone = trained_backbone_of("kl-unet")
    names = [point.name for point in backbone.hook_points()]
    name = next(name for name in names if backbone.get_submodule(name).conv_shortcut is not None)
    block = backbone.get_submodule(name)
    adapted = attach_adaptor(backbone, SerialAdaptorConfig(identity_start=identity_start), "light")
    disturb(adapted, "light")
    layer = backbone.get_submodule(name)
    features = torch.rand(2, block.conv1.in_channels, 8, 8)
    conditioning = None if block.time_emb_proj is None else torch.rand(2, block.time_emb_proj.in_features)
    with torch.no_grad():
        shortcut = block.conv_shortcut(features)
        residual = block(features, conditioning) - shortcut
        changed = apply_serial(layer.serial_adaptor["light"], residual)
        expected = shortcut + (residual + changed if identity_start else changed)
        assert torch.allclose(layer(features, conditioning), expected, atol=1e-5)


def test_the_authors_start_breaks_the_backbone(small_backbone: ReconstructionBackbone, frames: torch.Tensor) -> None:
    before = small_backbone.encode(frames)
    attach_adaptor(small_backbone, SerialAdaptorConfig(identity_start=False), "light")
    assert not torch.allclose(small_backbone.encode(frames), before, atol=0.01)


def test_the_residual_adaptor_adds_its_branch_to_a_tokens_block_as_to_the_square_map(
    small_backbone: ReconstructionBackbone,
) -> None:
    block = small_backbone.denoiser.transformer_blocks[0]
    adapted = attach(small_backbone, "residual", "light")
    disturb(adapted, "light")
    layer = small_backbone.denoiser.transformer_blocks[0]
    tokens, keywords = torch.rand(2, 16, 16), {"timestep": torch.tensor([3, 5]), "class_labels": torch.tensor([1, 1])}
    with torch.no_grad():
        features = block(tokens, **keywords)
        square = features.reshape(2, 4, 4, 16).permute(0, 3, 1, 2).contiguous()
        change = layer.residual_adaptor["light"](square).permute(0, 2, 3, 1).reshape(2, 16, 16)
        assert torch.equal(layer(tokens, **keywords), features + change)


@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 3), channels=st.integers(1, 8), side=st.integers(1, 6))
def test_any_square_map_comes_back_from_tokens(batch: int, channels: int, side: int) -> None:
    tokens = torch.rand(batch, side * side, channels)
    square = to_map(tokens, replace(TOKENS, channels=channels))
    assert square.shape == (batch, channels, side, side)
    # Tokens are in rows, as a reader reads.
    assert torch.equal(square[0, :, 0, side - 1], tokens[0, side - 1])
    assert torch.equal(from_map(square, TOKENS), tokens)


@pytest.mark.parametrize(
    ("shape", "layout", "message"),
    [
        ((1, 15, 8), "tokens", "15 tokens form no square map"),
        ((1, 8, 4, 4), "tokens", "its layout is tokens"),
        ((1, 16, 8), "map", "its layout is a map"),
        ((1, 9, 4, 4), "map", "gave 9 channels, but its hook point states 8"),
        ((1, 16, 9), "tokens", "gave 9 channels, but its hook point states 8"),
    ],
)
def test_an_output_of_another_layout_is_an_error_that_names_the_hook_point(
    shape: tuple[int, ...], layout: str, message: str
) -> None:
    point = HookPoint("denoiser.blocks.7", "denoiser.mid", 8, layout=layout)
    with pytest.raises(HookLayoutError, match=message) as caught:
        to_map(torch.zeros(shape), point)
    assert "denoiser.blocks.7" in str(caught.value)


class KeywordAutoencoder(LatentAutoencoder, ModelMixin, ConfigMixin):
    """Calls its one block by keyword."""

    stride, latent_channels = 1, 3

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Conv2d(3, 3, 1)

    def to_latents(self, centered: torch.Tensor) -> torch.Tensor:
        return self.block(input=centered)

    def hook_points(self) -> list[HookPoint]:
        return [HookPoint("block", "encoder", 3)]


def test_a_block_that_is_called_by_keyword_is_named(frames: torch.Tensor) -> None:
    backbone = ReconstructionBackbone(KeywordAutoencoder(), None, None, BackboneSettings(image_size=64))
    adapted = attach_adaptor(backbone, ResidualAdaptorConfig(hook_groups=["encoder"]), "light")
    with pytest.raises(HookPointError, match=r"autoencoder\.block: was called with its input by keyword"):
        backbone.encode(frames)
    with adapted.disable_adapter():
        assert backbone.encode(frames).shape == frames.shape


def test_a_depthwise_branch_has_fewer_parameters_and_sees_the_same_neighbourhood() -> None:
    def branch(**keywords: object) -> ResidualBranch:
        return ResidualBranch(16, ResidualAdaptorConfig(context_grid=0, identity_start=False, **keywords))

    def size(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert size(branch(depthwise=True)) < size(branch()) / 4
    assert size(branch(depthwise=True, bottleneck_channels=4)) < size(branch(depthwise=True))
    for module in (branch(depthwise=True), branch(depthwise=True, bottleneck_channels=4)):
        features = torch.zeros(1, 16, 7, 7)
        changed = features.clone()
        changed[:, 3, 3, 3] = 1.0
        module.normalize = nn.Identity()
        reached = (module(changed) - module(features)).abs().amax(dim=(0, 1)) > 0
        assert reached.nonzero().min() == 2
        assert reached.nonzero().max() == 4
        assert reached[2:5, 2:5].all()


def test_a_backbone_may_reach_into_its_adapted_blocks(small_backbone: ReconstructionBackbone) -> None:
    embedding = small_backbone.denoiser.transformer_blocks[0].norm1
    attach_adaptor(small_backbone, AdaptorSettings().to_peft_config(), "light")
    layer = small_backbone.denoiser.transformer_blocks[0]
    assert layer.norm1 is embedding
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        layer.nothing_of_this_name  # noqa: B018


@given(height=st.integers(1, 24), width=st.integers(1, 24), grid=st.integers(1, 6))
def test_what_the_context_branch_enlarges_and_pools_is_what_torch_gives(height: int, width: int, grid: int) -> None:
    generator = torch.Generator().manual_seed(height)
    maps = torch.randn(2, 3, height, width, generator=generator)
    coarse = torch.randn(2, 3, grid, grid, generator=generator)
    enlarged = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge_bilinearly(coarse, height, width), enlarged)
    torch.testing.assert_close(add_enlarged(maps, coarse), maps + enlarged)
    torch.testing.assert_close(pool_to_grid(maps, grid), F.adaptive_avg_pool2d(maps, grid))
