"""Another adaptor's values in place: the same as loading it, all or nothing, and nothing is compiled anew."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from contracts import contract
from toy_adaptors import SETTINGS, attach, disturb, equal, outputs
from toy_files import TENSORS, save_toy_adaptor

from retina_adapt.adaptors import (
    AdaptorFileError,
    AdaptorNameError,
    AdaptorSettings,
    AdaptorTensorError,
    adaptor_tensors,
    hot_swap,
    hot_swap_file,
    load_adaptor,
)
from retina_adapt.backbones import ReconstructionBackbone

every_kind = pytest.mark.parametrize("case", SETTINGS)


@every_kind
def test_swapped_values_give_the_bits_of_the_adaptor_that_they_are_of(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, case, "slot")
    attach(adapted, case, "haze")
    disturb(adapted, "haze")
    hot_swap(adapted, "slot", adaptor_tensors(adapted, "haze"))
    swapped = outputs(small_backbone, frames)
    adapted.set_adapter("haze")
    assert equal(swapped, outputs(small_backbone, frames))
    # A copy, not a link.
    disturb(adapted, "haze", seed=5)
    adapted.set_adapter("slot")
    assert equal(swapped, outputs(small_backbone, frames))


@contract("hot swap", "exact, no recompilation")
@every_kind
def test_swapping_under_compilation_compiles_nothing_anew(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, case, "slot")
    values = {key: tensor + 0.02 for key, tensor in adaptor_tensors(adapted, "slot").items()}
    compilations = []

    def counting(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        compilations.append(graph)
        return graph

    torch._dynamo.reset()
    encode = torch.compile(small_backbone.autoencoder.to_latents, backend=counting)
    with torch.no_grad():
        images = torch.rand(2, 48, 8, 8, generator=torch.Generator().manual_seed(1))
        before = encode(images)
        compiled_at_first = len(compilations)
        hot_swap(adapted, "slot", values)
        after = encode(images)
        assert torch.equal(after, small_backbone.autoencoder.to_latents(images))
    assert not torch.equal(after, before)
    assert len(compilations) == compiled_at_first > 0


@pytest.mark.parametrize("case", ["residual", "ia3"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tensors, last: tensors.pop(last), "1 tensors missing"),
        (lambda tensors, last: tensors.update(extra=torch.zeros(1)), "1 tensors unexpected, the first being 'extra'"),
        (lambda tensors, last: tensors.update({last: torch.zeros(3, 5)}), r"\(3, 5\)"),
        (lambda tensors, last: tensors.update({last: tensors[last].to(torch.int32)}), "int32"),
        (lambda tensors, last: tensors.update({last: tensors[last] * float("nan")}), "NaN"),
    ],
    ids=["missing", "unexpected", "misshapen", "of another type", "not finite"],
)
def test_tensors_that_do_not_fit_change_nothing(
    damage: object, message: str, case: str, small_backbone: ReconstructionBackbone
) -> None:
    adapted = attach(small_backbone, case, "slot")
    before = {key: tensor.clone() for key, tensor in adaptor_tensors(adapted, "slot").items()}
    tensors = {key: tensor + 1 for key, tensor in before.items()}
    damage(tensors, list(tensors)[-1])
    with pytest.raises(AdaptorTensorError, match=message):
        hot_swap(adapted, "slot", tensors)
    assert all(torch.equal(tensor, before[key]) for key, tensor in adaptor_tensors(adapted, "slot").items())


def test_an_unknown_name_is_refused(small_backbone: ReconstructionBackbone) -> None:
    adapted = attach(small_backbone, "residual", "slot")
    with pytest.raises(AdaptorNameError, match="attached are slot"):
        hot_swap(adapted, "other", {})


def test_a_file_swapped_in_gives_the_bits_of_loading_it(
    tmp_path: Path, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    for seed in (1, 2):
        save_toy_adaptor(small_backbone, tmp_path / str(seed), seed=seed)
    adapted = load_adaptor(small_backbone, tmp_path / "1", "slot")
    hot_swap_file(adapted, "slot", tmp_path / "2")
    swapped = outputs(small_backbone, frames)
    load_adaptor(adapted, tmp_path / "2", "loaded")
    adapted.set_adapter("loaded")
    assert equal(swapped, outputs(small_backbone, frames))


def test_a_file_whose_values_would_mean_something_else_changes_nothing(
    tmp_path: Path, small_backbone: ReconstructionBackbone
) -> None:
    """Tensors of equal shapes, but scaled twofold: what shapes alone do not tell."""
    lora = AdaptorSettings(kind="lora", rank=2, hook_groups=["encoder"])
    save_toy_adaptor(small_backbone, tmp_path / "resident", settings=lora)
    save_toy_adaptor(small_backbone, tmp_path / "other", seed=1, settings=replace(lora, alpha=4))
    adapted = load_adaptor(small_backbone, tmp_path / "resident", "slot")
    before = {key: tensor.clone() for key, tensor in adaptor_tensors(adapted, "slot").items()}
    with pytest.raises(AdaptorFileError, match=r"other: differs from the adaptor 'slot' in lora_alpha \(4, not 2\)"):
        hot_swap_file(adapted, "slot", tmp_path / "other")
    (tmp_path / "resident" / TENSORS).write_bytes(b"torn")
    with pytest.raises(AdaptorFileError, match=TENSORS):
        hot_swap_file(adapted, "slot", tmp_path / "resident")
    assert all(torch.equal(tensor, before[key]) for key, tensor in adaptor_tensors(adapted, "slot").items())
