"""What goes into a backbone and comes out of it: channels, ranges and the stride, for every registered shape."""

import dataclasses

import pytest
import torch

from retina_adapt.backbones import BackboneShape, backbone_names, build_backbone


@pytest.mark.parametrize("name", backbone_names())
@pytest.mark.parametrize(
    ("image_channels", "space_to_depth", "levels", "stride"), [(3, 2, 2, 4), (1, 1, 2, 2), (3, 4, 1, 4), (1, 2, 3, 8)]
)
def test_the_stride_is_that_of_the_latents(
    name: str, image_channels: int, space_to_depth: int, levels: int, stride: int, toy_shape: BackboneShape
) -> None:
    autoencoder = dataclasses.replace(
        toy_shape.autoencoder, channels=[16] * levels, space_to_depth=space_to_depth, latent_channels=5
    )
    shape = dataclasses.replace(toy_shape, name=name, image_channels=image_channels, autoencoder=autoencoder)
    backbone = build_backbone(shape).eval().requires_grad_(False)
    images = torch.rand(1, image_channels, 64, 96)
    latents = backbone.encode(images)
    assert backbone.stride == stride
    assert latents.shape == (1, 5, 64 // stride, 96 // stride)
    assert backbone.decode(latents).shape == images.shape


@pytest.mark.parametrize("name", backbone_names())
def test_the_autoencoder_sees_images_between_minus_one_and_one(name: str, toy_shape: BackboneShape) -> None:
    backbone = build_backbone(dataclasses.replace(toy_shape, name=name)).eval().requires_grad_(False)
    seen: list[torch.Tensor] = []
    backbone.autoencoder.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for brightness in (0.0, 0.5, 1.0):
        backbone.encode(torch.full((1, 3, 64, 64), brightness))
    assert [(pixels.min().item(), pixels.max().item()) for pixels in seen] == [(-1, -1), (0, 0), (1, 1)]
    # A decoder that says nothing says zero, the middle of its range.
    backbone.autoencoder.decoder.conv_out.weight.zero_()
    backbone.autoencoder.decoder.conv_out.bias.zero_()
    assert torch.equal(backbone.decode(torch.randn(1, 4, 16, 16)), torch.full((1, 3, 64, 64), 0.5))


@pytest.mark.parametrize("name", backbone_names())
def test_every_tensor_of_the_backbone_learns(name: str, toy_shape: BackboneShape, frames: torch.Tensor) -> None:
    backbone = build_backbone(dataclasses.replace(toy_shape, name=name))
    mean, log_variance = backbone.moments(frames)
    latents = backbone.scale_latents(mean + torch.exp(0.5 * log_variance))
    loss = backbone.decode(latents).square().mean() + backbone.predict(latents, torch.tensor([3, 4]), latents).mean()
    loss.backward()
    assert [key for key, parameter in backbone.named_parameters() if parameter.grad is None] == []
