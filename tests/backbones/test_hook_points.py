"""Hook points where no adaptor could sit are refused when the backbone is put together, each with its name."""

import pytest
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor, nn

from retina_adapt.backbones import (
    BackboneSettings,
    HookPoint,
    HookPointError,
    LatentAutoencoder,
    ReconstructionBackbone,
    residual_block_hook_points,
)


class PointedAutoencoder(LatentAutoencoder, ModelMixin, ConfigMixin):
    """The identity, with blocks to point at."""

    stride, latent_channels = 1, 3

    def __init__(self, points: list[HookPoint]) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Sequential(nn.Conv2d(8, 8, 1), nn.SiLU()))
        self.points = points

    def to_latents(self, centered: Tensor) -> Tensor:
        return centered

    def from_latents(self, latents: Tensor) -> Tensor:
        return latents

    def hook_points(self) -> list[HookPoint]:
        return self.points


def put_together(*points: HookPoint) -> ReconstructionBackbone:
    return ReconstructionBackbone(PointedAutoencoder(list(points)), None, None, BackboneSettings(image_size=64))


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([HookPoint("encodr.0", "encoder", 8)], r"autoencoder\.encodr\.0': the backbone has no such module"),
        ([HookPoint("encoder.7", "encoder", 8)], r"encoder\.7': the backbone has no such module"),
        ([HookPoint("encoder.1.1", "encoder", 8)], r"encoder\.1\.1': the module has no parameters"),
        ([HookPoint("encoder.0", "encoders", 8)], r"encoder\.0': there is no group 'encoders'.*did you mean 'encoder'"),
        ([HookPoint("encoder.0", "encoder", 8, layout="token")], "no layout 'token'; use one of map, tokens"),
        ([HookPoint("encoder.0", "encoder", 8), HookPoint("encoder.0", "decoder", 8)], r"encoder\.0': is given twice"),
        (
            [HookPoint("encoder.1.0", "encoder", 8), HookPoint("encoder.1", "encoder", 8)],
            r"encoder\.1\.0': lies inside the hook point 'autoencoder\.encoder\.1'",
        ),
    ],
)
def test_a_hook_point_where_no_adaptor_can_sit_is_refused_by_name(points: list[HookPoint], reason: str) -> None:
    with pytest.raises(HookPointError, match=reason):
        put_together(*points)


def test_neighbours_whose_names_begin_alike_are_not_inside_each_other() -> None:
    points = [HookPoint("encoder.1", "encoder", 8), HookPoint("encoder.10", "encoder", 8)]
    autoencoder = PointedAutoencoder(points)
    autoencoder.encoder.extend(nn.Conv2d(8, 8, 1) for _ in range(9))
    backbone = ReconstructionBackbone(autoencoder, None, None, BackboneSettings(image_size=64))
    assert [point.name for point in backbone.hook_points()] == ["autoencoder.encoder.1", "autoencoder.encoder.10"]


def test_diffusers_residual_blocks_are_found_in_forward_order(toy_backbone: ReconstructionBackbone) -> None:
    found = residual_block_hook_points(toy_backbone.autoencoder, "encoder", "encoder")
    assert [f"autoencoder.{point.name}" for point in found] == [
        point.name for point in toy_backbone.hook_points() if point.group == "encoder"
    ]
    assert found[0] == HookPoint("encoder.down_blocks.0.resnets.0", "encoder", 16)
