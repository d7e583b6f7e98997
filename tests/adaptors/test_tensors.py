"""An adaptor's tensors have names of their own, and can be given to a layer that has none yet."""

import pytest
import torch
from toy_adaptors import SETTINGS, attach, config_of, disturb, equal, outputs

from retina_adapt.adaptors import (
    AdaptorNameError,
    AdaptorTensorError,
    adaptor_parameters,
    adaptor_tensors,
    assign_adaptor_tensors,
    attach_adaptor,
    detach_adaptor,
)
from retina_adapt.adaptors.layers import hook_point_of
from retina_adapt.backbones import ReconstructionBackbone, select_hook_points

every_kind = pytest.mark.parametrize("case", SETTINGS)

NAMES = {
    "residual": "autoencoder.encoder.blocks.0.residual_adaptor.local.weight",
    "serial": "denoiser.transformer_blocks.0.serial_adaptor.convolution.weight",
    "lora": "autoencoder.decoder.blocks.0.branch.0.lora_A.weight",
    "dora": "autoencoder.decoder.blocks.0.branch.0.lora_magnitude_vector.weight",
    "loha": "autoencoder.decoder.blocks.0.branch.2.hada_w1_a",
    "lokr": "autoencoder.decoder.blocks.0.branch.2.lokr_w1",
    "ia3": "denoiser.transformer_blocks.1.attn1.to_q.ia3_l",
    "boft": "autoencoder.decoder.blocks.0.branch.2.boft_R",
}


@pytest.mark.parametrize("case", NAMES)
def test_a_tensors_name_is_its_layer_its_part_and_nothing_of_the_adaptors_name(
    case: str, small_backbone: ReconstructionBackbone
) -> None:
    adapted = attach(small_backbone, case, "light")
    names = adaptor_tensors(adapted, "light").keys()
    assert NAMES[case] in names
    assert not any("light" in name or "base_layer" in name for name in names)
    attach(adapted, case, "haze")
    assert adaptor_tensors(adapted, "haze").keys() == names


@every_kind
def test_tensors_belong_to_the_hook_group_of_their_hook_point_and_each_parameter_is_there_once(
    case: str, backbone: ReconstructionBackbone
) -> None:
    adapted = attach(backbone, case, "light")
    points = backbone.hook_points()
    by_group = {
        group: {id(parameter) for parameter in adaptor_parameters(adapted, "light", [group])}
        for group in {point.group for point in points}
    }
    everything = adaptor_parameters(adapted, "light")
    assert len({id(parameter) for parameter in everything}) == len(everything)
    assert sum(len(found) for found in by_group.values()) == len(everything)
    for name, tensor in adaptor_tensors(adapted, "light").items():
        assert id(tensor) in by_group[hook_point_of(name, points).group]
    assert {point.group for point in select_hook_points(points, ["denoiser"])} <= by_group.keys()


@every_kind
def test_layers_without_values_take_the_given_ones(
    case: str, backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(backbone, case, "light")
    disturb(adapted, "light")
    tensors = {key: tensor.detach().clone() for key, tensor in adaptor_tensors(adapted, "light").items()}
    expected = outputs(backbone, frames)
    detach_adaptor(adapted, "light")
    state = torch.get_rng_state()
    adapted = attach_adaptor(backbone, config_of(case), "given", without_values=True)
    assert all(parameter.is_meta for parameter in adaptor_parameters(adapted, "given"))
    assign_adaptor_tensors(adapted, "given", tensors)
    assert torch.equal(torch.get_rng_state(), state)
    assert equal(outputs(backbone, frames), expected)
    for tensor in tensors.values():
        tensor.fill_(float("nan"))
    assert equal(outputs(backbone, frames), expected)


@every_kind
def test_nothing_is_assigned_when_one_tensor_does_not_fit(case: str, small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, case, "light")
    before = adaptor_tensors(adapted, "light")
    tensors = {key: tensor + 1 for key, tensor in before.items()}
    last = list(tensors)[-1]
    tensors[last] = tensors[last][None]
    with pytest.raises(AdaptorTensorError, match="expected float32, float16 or bfloat16"):
        assign_adaptor_tensors(adapted, "light", tensors)
    after = adaptor_tensors(adapted, "light")
    assert all(after[key] is before[key] for key in before)


def test_unknown_names_are_errors(small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, "residual", "light")
    with pytest.raises(AdaptorNameError, match="attached are light"):
        adaptor_tensors(adapted, "haze")
