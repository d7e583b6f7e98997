"""The perceptual distance: what it measures, and that its reference stays as it is."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from retina_adapt.backbones import HookPointError, ImageChannelsError, ReconstructionBackbone, backbone_names
from retina_adapt.objectives import PerceptualDistance


@pytest.fixture(params=backbone_names())
def distance(
    request: pytest.FixtureRequest, toy_backbone_of: Callable[..., ReconstructionBackbone]
) -> PerceptualDistance:
    return PerceptualDistance(toy_backbone_of(request.param).requires_grad_(True).train())


def hooks_of(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) for part in module.modules())


def test_it_is_the_squared_difference_of_unit_features_over_all_encoder_hook_points(
    toy_backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    other, kept = frames.flip(0), {}
    names = [point.name for point in toy_backbone.hook_points() if point.group == "encoder"]
    handles = [
        toy_backbone.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: kept.setdefault(name, []).append(output)
        )
        for name in names
    ]
    toy_backbone.encode(frames)
    toy_backbone.encode(other)
    for handle in handles:
        handle.remove()
    # The squared distance of two unit vectors is 2 - 2 cos.
    expected = torch.stack([(2 - 2 * torch.cosine_similarity(*kept[name], dim=1)).mean() for name in names]).mean()
    torch.testing.assert_close(PerceptualDistance(toy_backbone)(frames, other), expected)


def test_it_is_zero_for_equal_images_and_grows_with_the_blur(distance: PerceptualDistance, frames: Tensor) -> None:
    blurred = [nn.functional.avg_pool2d(frames, size, 1, size // 2) for size in (1, 3, 9)]
    same, little, much = (distance(image, frames) for image in blurred)
    assert same == 0
    assert 0 < little < much < 4


def test_its_gradient_reaches_the_result_only_and_leads_to_the_target(
    distance: PerceptualDistance, frames: Tensor
) -> None:
    result, target = frames.flip(0).requires_grad_(True), frames.clone().requires_grad_(True)
    before = distance(result, target)
    before.backward()
    assert target.grad is None
    assert all(parameter.grad is None for parameter in distance.parameters())
    moved = result.detach() - 1e-3 * result.grad / result.grad.abs().mean()
    assert distance(moved, target) < before


def test_the_reference_is_no_part_of_what_is_trained(distance: PerceptualDistance) -> None:
    step = nn.ModuleDict({"distance": distance, "trained": nn.Linear(2, 2)}).train()
    trainable = [name for name, parameter in step.named_parameters() if parameter.requires_grad]
    assert trainable == ["trained.weight", "trained.bias"]
    assert not any(module.training for module in distance.modules())


def test_no_hook_stays_on_the_reference_even_after_an_error(distance: PerceptualDistance, frames: Tensor) -> None:
    distance(frames, frames)
    assert hooks_of(distance) == 0
    with pytest.raises(ImageChannelsError):
        distance(frames[:, :2], frames[:, :2])
    assert hooks_of(distance) == 0


def test_a_reference_without_feature_maps_in_its_encoder_is_refused(toy_backbone: ReconstructionBackbone) -> None:
    toy_backbone._hook_points = [
        dataclasses.replace(point, layout="tokens") for point in toy_backbone.hook_points() if point.group == "encoder"
    ]
    with pytest.raises(HookPointError, match="use another one"):
        PerceptualDistance(toy_backbone)
