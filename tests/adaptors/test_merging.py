"""Merged into the backbone's weights, an adaptor does the same; unmerged, the backbone is what it was."""

import pytest
import torch
from contracts import contract
from toy_adaptors import SETTINGS, attach, disturb, equal, largest_difference, outputs

from retina_adapt.adaptors import (
    KINDS,
    FrozenBackboneGuard,
    MergeError,
    adaptors_bypassed,
    backbone_tensors,
    detach_adaptor,
    hot_swap,
    merge_adaptor,
    mixed_batch,
    set_adaptor_weights,
)
from retina_adapt.backbones import ReconstructionBackbone

MERGED_TOLERANCE = 1e-5
MERGEABLE = [case for case in SETTINGS if KINDS[SETTINGS[case].kind].mergeable]


@contract("merge", "< 1e-5, unmerge exact")
@pytest.mark.parametrize("case", MERGEABLE)
def test_a_merged_adaptor_does_the_same_and_unmerging_restores_every_bit(
    case: str, backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    own = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    adapted = attach(backbone, case, "light")
    disturb(adapted, "light")
    attached = outputs(backbone, frames)
    with merge_adaptor(adapted, "light"):
        assert largest_difference(outputs(backbone, frames), attached) < MERGED_TOLERANCE
    after = backbone_tensors(backbone)
    assert all(torch.equal(after[name], own[name]) for name in own)
    assert equal(outputs(backbone, frames), attached)


@pytest.mark.parametrize("case", MERGEABLE)
def test_merging_changes_the_weights_themselves(case: str, small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, case, "light")
    disturb(adapted, "light")
    layer = small_backbone.autoencoder.encoder.blocks[0].branch[0]
    before = layer.get_base_layer().weight.clone()
    merged = merge_adaptor(adapted, "light")
    assert not torch.equal(layer.get_base_layer().weight, before)
    merged.unmerge()
    assert torch.equal(layer.get_base_layer().weight, before)


@contract("merge", "refused")
@pytest.mark.parametrize("case", [case for case in SETTINGS if case not in MERGEABLE])
def test_merging_a_non_linear_branch_is_refused_with_the_reason(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, case, "light")
    disturb(adapted, "light")
    before = outputs(small_backbone, frames)
    for merge in (adapted.merge_adapter, adapted.merge_and_unload, lambda: merge_adaptor(adapted, "light")):
        with pytest.raises(MergeError, match="non-linear branch"):
            merge()
    assert equal(outputs(small_backbone, frames), before)


@pytest.mark.parametrize("case", ["lora", "ia3"])
def test_what_a_merged_adaptor_does_not_allow_is_refused_and_not_done_wrongly(
    case: str, small_backbone: ReconstructionBackbone
) -> None:
    guard = FrozenBackboneGuard(small_backbone)
    adapted = attach(small_backbone, case, "light")
    disturb(adapted, "light")
    with merge_adaptor(adapted, "light"):
        for refused in (
            guard.check,
            lambda: attach(adapted, case, "haze"),
            lambda: detach_adaptor(adapted, "light"),
            lambda: merge_adaptor(adapted, "light"),
            lambda: hot_swap(adapted, "light", {}),
            lambda: set_adaptor_weights(adapted, {"light": 1.0}),
            lambda: adaptors_bypassed(small_backbone).__enter__(),
            lambda: mixed_batch(adapted, ["light"]).__enter__(),
        ):
            with pytest.raises(MergeError, match="unmerge it first"):
                refused()
    guard.check()


def test_unmerging_again_leaves_alone_what_was_merged_since(small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, "lora", "light")
    disturb(adapted, "light")
    layer = small_backbone.autoencoder.encoder.blocks[0].branch[0]
    own = layer.get_base_layer().weight.clone()
    first = merge_adaptor(adapted, "light")
    first.unmerge()
    with merge_adaptor(adapted, "light"):
        first.unmerge()
        assert not torch.equal(layer.get_base_layer().weight, own)
    assert torch.equal(layer.get_base_layer().weight, own)


def test_only_the_one_active_adaptor_can_be_merged(small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, "lora", "light")
    attach(adapted, "lora", "haze")
    with pytest.raises(MergeError, match=r"set_adapter\('haze'\)"):
        merge_adaptor(adapted, "haze")
    with adaptors_bypassed(small_backbone), pytest.raises(MergeError, match="disabled"):
        merge_adaptor(adapted, "light")


def test_an_adaptor_is_merged_with_the_weight_that_it_has(
    small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, "lora", "light")
    disturb(adapted, "light")
    set_adaptor_weights(adapted, {"light": 0.5})
    attached = outputs(small_backbone, frames)
    with merge_adaptor(adapted, "light"):
        assert largest_difference(outputs(small_backbone, frames), attached) < MERGED_TOLERANCE
