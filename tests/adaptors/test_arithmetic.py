"""Weighted sums and means of adaptors."""

import dataclasses

import numpy as np
import pytest
import torch
from contracts import contract
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_adaptors import SETTINGS, attach, disturb, equal, largest_difference, outputs

from retina_adapt.adaptors import (
    KINDS,
    AdaptorArithmeticError,
    AdaptorNameError,
    adaptor_parameters,
    adaptor_tensors,
    attach_adaptor,
    interpolate_adaptors,
    set_adaptor_weights,
)
from retina_adapt.adaptors.layers import tuner_layers
from retina_adapt.backbones import ReconstructionBackbone

ADDITIVE = [case for case in SETTINGS if KINDS[SETTINGS[case].kind].additive]
every_additive_kind = pytest.mark.parametrize("case", ADDITIVE)


@pytest.fixture
def adapted(request: pytest.FixtureRequest, small_backbone: ReconstructionBackbone):
    """Two different adaptors, `light` active, of the kind that the test is for."""
    case = request.getfixturevalue("case")
    model = attach(small_backbone, case, "light")
    attach(model, case, "haze")
    disturb(model, "light", seed=1)
    disturb(model, "haze", seed=2)
    return model


@contract("weights", "exact at 0 and 1")
@every_additive_kind
def test_no_weight_is_the_frozen_backbone_and_full_weight_the_adaptor_bit_for_bit(
    case: str, adapted, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    plain = outputs(small_backbone, frames)
    with adapted.disable_adapter():
        frozen = outputs(small_backbone, frames)
    set_adaptor_weights(adapted, {"light": 0})
    assert equal(outputs(small_backbone, frames), frozen)
    set_adaptor_weights(adapted, {"light": 1.0, "haze": 0.0})
    assert equal(outputs(small_backbone, frames), plain)
    set_adaptor_weights(adapted, {"light": 1})
    assert equal(outputs(small_backbone, frames), plain)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(light=st.floats(-2, 2), haze=st.floats(-2, 2))
@every_additive_kind
def test_a_layers_output_is_the_weighted_sum_of_what_each_adaptor_changes(
    case: str, light: float, haze: float, adapted, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    # In the first adapted layer, whose input no adaptor changes.
    _, layer = next(tuner_layers(small_backbone))
    given_input = torch.rand(2, 16, 16, 16, generator=torch.Generator().manual_seed(4))

    def output(weights: dict[str, float]) -> torch.Tensor:
        set_adaptor_weights(adapted, weights)
        with torch.no_grad():
            return layer(given_input)

    frozen = output({"light": 0.0})
    expected = frozen + light * (output({"light": 1.0}) - frozen) + haze * (output({"haze": 1.0}) - frozen)
    assert largest_difference([output({"light": light, "haze": haze})], [expected]) < 1e-5


@every_additive_kind
def test_weighted_adaptors_are_active_and_frozen_and_others_have_full_weight_again(
    case: str, adapted, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    plain = outputs(small_backbone, frames)
    set_adaptor_weights(adapted, {"light": 0.5, "haze": 0.5})
    assert adapted.active_adapters == ["light", "haze"]
    assert not any(parameter.requires_grad for parameter in adapted.parameters())
    set_adaptor_weights(adapted, {"haze": 0.5})
    assert adapted.active_adapters == ["haze"]
    adapted.set_adapter("light")
    assert equal(outputs(small_backbone, frames), plain)


@contract("weights", "refused")
@pytest.mark.parametrize("case", [case for case in SETTINGS if case not in ADDITIVE])
def test_kinds_that_multiply_have_no_weights(case: str, adapted) -> None:
    with pytest.raises(AdaptorArithmeticError, match=f"of the kind {case}, whose change is not additive"):
        set_adaptor_weights(adapted, {"light": 0.5})
    assert adapted.active_adapters == ["light"]


@pytest.mark.parametrize("case", ["residual"])
@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ({}, AdaptorArithmeticError, "no weights"),
        ({"light": float("nan")}, AdaptorArithmeticError, "'light' is nan"),
        ({"other": 1.0}, AdaptorNameError, "attached are light, haze"),
    ],
)
def test_weights_that_cannot_be_are_refused(
    weights: dict[str, float], error: type[Exception], message: str, case: str, adapted
) -> None:
    with pytest.raises(error, match=message):
        set_adaptor_weights(adapted, weights)
    with pytest.raises(error, match=message):
        interpolate_adaptors(adapted, weights, "mean")
    assert list(adapted.peft_config) == ["light", "haze"]


@pytest.mark.parametrize("case", ["residual"])
def test_weights_may_be_numbers_of_numpy(
    case: str, adapted, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    half = np.float32(0.5)
    interpolate_adaptors(adapted, {"light": half, "haze": half}, "mean")
    interpolate_adaptors(adapted, {"light": 0.5, "haze": 0.5}, "same")
    same = adaptor_tensors(adapted, "same")
    assert all(torch.equal(tensor, same[key]) for key, tensor in adaptor_tensors(adapted, "mean").items())
    set_adaptor_weights(adapted, {"light": half})
    found = outputs(small_backbone, frames)
    set_adaptor_weights(adapted, {"light": 0.5})
    assert equal(found, outputs(small_backbone, frames))


@contract("interpolation", "exact at 0 and 1")
@pytest.mark.parametrize("case", SETTINGS)
def test_an_interpolated_adaptor_holds_the_weighted_mean_and_at_an_end_the_adaptor_itself(
    case: str, adapted, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    plain = outputs(small_backbone, frames)
    interpolate_adaptors(adapted, {"light": 0.25, "haze": 0.75}, "mean")
    assert adapted.active_adapters == ["light"]
    assert not any(parameter.requires_grad for parameter in adaptor_parameters(adapted, "mean"))
    light, haze, mean = (adaptor_tensors(adapted, name) for name in ("light", "haze", "mean"))
    assert mean.keys() == light.keys()
    assert all(torch.allclose(mean[key], 0.25 * light[key] + 0.75 * haze[key], atol=1e-7) for key in mean)
    interpolate_adaptors(adapted, {"light": 1.0, "haze": 0.0}, "end")
    adapted.set_adapter("end")
    assert equal(outputs(small_backbone, frames), plain)


@pytest.mark.parametrize("case", ["lora"])
def test_adaptors_of_different_kinds_settings_or_places_have_no_mean(case: str, adapted) -> None:
    attach(adapted, "dora", "other_kind")
    attach_adaptor(adapted, dataclasses.replace(SETTINGS["lora"], rank=2).to_peft_config(), "other_rank")
    attach_adaptor(adapted, dataclasses.replace(SETTINGS["lora"], alpha=3).to_peft_config(), "other_alpha")
    encoder_only = dataclasses.replace(SETTINGS["lora"], hook_groups=["encoder"])
    attach_adaptor(adapted, encoder_only.to_peft_config(), "elsewhere")
    for other, difference in {
        "other_kind": "kind",
        "other_rank": "differ in r;",
        "other_alpha": "lora_alpha",
        "elsewhere": "hook_groups",
    }.items():
        with pytest.raises(AdaptorArithmeticError, match=difference):
            interpolate_adaptors(adapted, {"light": 0.5, other: 0.5}, "mean")


@pytest.mark.parametrize("case", ["residual"])
def test_weights_of_a_mean_sum_to_one(case: str, adapted) -> None:
    with pytest.raises(AdaptorArithmeticError, match=r"sum to 1\.5"):
        interpolate_adaptors(adapted, {"light": 1.0, "haze": 0.5}, "mean")
