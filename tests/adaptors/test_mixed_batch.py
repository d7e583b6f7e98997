"""Rows of one batch under different adaptors give what they give apart."""

import pytest
import torch
from contracts import contract
from peft import get_peft_model
from toy_adaptors import SETTINGS, attach, config_of, disturb, equal, largest_difference, outputs

from retina_adapt.adaptors import (
    KINDS,
    AdaptorNameError,
    MixedBatchError,
    ResidualAdaptorConfig,
    adaptor_parameters,
    adaptors_bypassed,
    attach_adaptor,
    mixed_batch,
    set_adaptor_weights,
)
from retina_adapt.backbones import ReconstructionBackbone

# The serial kind normalises a block's residual, which can be small beside the features that it is the rest of.
MIXED_TOLERANCE = 1e-4
every_kind = pytest.mark.parametrize("case", SETTINGS)


@pytest.fixture
def three_frames() -> torch.Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@contract("mixed batch", "< 1e-4")
@every_kind
def test_each_row_runs_under_its_own_adaptor(
    case: str, backbone: ReconstructionBackbone, three_frames: torch.Tensor
) -> None:
    adapted = attach(backbone, case, "light")
    attach(adapted, case, "haze")
    disturb(adapted, "light", seed=1)
    disturb(adapted, "haze", seed=2)
    names = ["haze", None, "light"]
    with mixed_batch(adapted, names):
        mixed = outputs(backbone, three_frames)
    for row, name in enumerate(names):
        if name is None:
            with adaptors_bypassed(backbone):
                alone = outputs(backbone, three_frames)
        else:
            adapted.set_adapter(name)
            alone = outputs(backbone, three_frames)
        assert largest_difference([part[row] for part in mixed], [part[row] for part in alone]) < MIXED_TOLERANCE


@every_kind
def test_one_adaptor_for_all_rows_is_that_adaptor_bit_for_bit_whichever_is_active(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, case, "light")
    attach(adapted, case, "haze")
    disturb(adapted, "haze")
    with mixed_batch(adapted, ["haze", "haze"]):
        mixed = outputs(small_backbone, frames)
    assert adapted.active_adapters == ["light"]
    adapted.set_adapter("haze")
    assert equal(mixed, outputs(small_backbone, frames))


@pytest.mark.parametrize("case", ["residual", "lora", "ia3"])
def test_the_context_leaves_no_trace_even_after_an_error(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, case, "light")
    disturb(adapted, "light")
    before = outputs(small_backbone, frames)
    trained = [parameter.requires_grad for parameter in adaptor_parameters(adapted, "light")]
    with pytest.raises(MixedBatchError, match="2 rows, but 3"), mixed_batch(adapted, ["light", None, "light"]):
        outputs(small_backbone, frames)
    assert equal(outputs(small_backbone, frames), before)
    assert [parameter.requires_grad for parameter in adaptor_parameters(adapted, "light")] == trained


def test_a_batch_concatenated_with_itself_is_refused_unless_names_are_too(
    small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, "residual", "light")
    twice = torch.cat([frames, frames])
    with mixed_batch(adapted, ["light", None]), pytest.raises(MixedBatchError, match="4 rows, but 2"):
        small_backbone.encode(twice)
    with mixed_batch(adapted, ["light", None] * 2):
        assert len(small_backbone.encode(twice)) == 4


def test_adaptors_in_different_hook_groups_can_be_mixed(
    small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach_adaptor(small_backbone, ResidualAdaptorConfig(hook_groups=["encoder"]), "light")
    attach_adaptor(adapted, ResidualAdaptorConfig(hook_groups=["decoder"]), "haze")
    disturb(adapted, "light")
    with adaptors_bypassed(small_backbone):
        frozen = small_backbone.encode(frames)
    with mixed_batch(adapted, ["light", "haze"]):
        latents = small_backbone.encode(frames)
    assert not torch.equal(latents[0], frozen[0])
    assert largest_difference([latents[1]], [frozen[1]]) < MIXED_TOLERANCE


def test_gradients_reach_each_rows_own_adaptor_only(
    small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, "residual", "light")
    attach(adapted, "residual", "haze")
    adapted.requires_grad_(True)
    with mixed_batch(adapted, ["haze", None]):
        small_backbone.encode(frames)[0].sum().backward()
    assert any(parameter.grad is not None for parameter in adaptor_parameters(adapted, "haze"))
    assert all(parameter.grad is None for parameter in adaptor_parameters(adapted, "light"))


def test_weights_hold_in_a_mixed_batch(small_backbone: ReconstructionBackbone, frames: torch.Tensor) -> None:
    adapted = attach(small_backbone, "residual", "light")
    disturb(adapted, "light")
    set_adaptor_weights(adapted, {"light": 0.5})
    weighted = outputs(small_backbone, frames)
    with mixed_batch(adapted, ["light", "light"]):
        assert equal(outputs(small_backbone, frames), weighted)


def test_bypassing_adaptors_holds_in_a_mixed_batch(
    small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    before = outputs(small_backbone, frames)
    adapted = attach(small_backbone, "lora", "light")
    disturb(adapted, "light")
    with mixed_batch(adapted, ["light", "light"]), adaptors_bypassed(small_backbone):
        assert equal(outputs(small_backbone, frames), before)


def test_misuse_is_refused_before_anything_runs(small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, "residual", "light")
    with pytest.raises(AdaptorNameError, match="attached are light"), mixed_batch(adapted, ["haze"]):
        pass
    for names in ([], "light"):
        with pytest.raises(MixedBatchError, match="for each row"), mixed_batch(adapted, names):
            pass
    nested = mixed_batch(adapted, ["light"])
    with mixed_batch(adapted, ["light"]), pytest.raises(MixedBatchError, match="inside another"), nested:
        pass


@every_kind
def test_pefts_adapter_names_point_to_mixed_batch(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, case, "light")
    with pytest.raises(MixedBatchError, match="mixed_batch"):
        adapted(frames, adapter_names=["light", "light"])


@pytest.mark.parametrize("case", [case for case in SETTINGS if not KINDS[SETTINGS[case].kind].mergeable])
def test_pefts_adapter_names_are_refused_however_they_reach_a_layer_of_our_kinds(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = get_peft_model(small_backbone, config_of(case), "light")
    with pytest.raises(MixedBatchError, match="mixed_batch"):
        adapted(frames, adapter_names=["light", "light"])
    layer = small_backbone.get_submodule(small_backbone.hook_points()[0].name)
    with pytest.raises(MixedBatchError, match="mixed_batch"):
        layer(frames, adapter_names=["light", "light"])
