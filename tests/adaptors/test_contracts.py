"""The contracts of docs/architecture.md, for every adaptor kind."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy_adaptors import CONFIGS, KINDS_COVERED, METADATA, config_of, disturb

from retina_adapt.adaptors import (
    AdaptorKind,
    AdaptorNameError,
    FrozenBackboneError,
    FrozenBackboneGuard,
    MergeError,
    adaptor_parameters,
    adaptors_bypassed,
    attach_adaptor,
    backbone_tensors,
    load_adaptor,
    save_adaptor,
    train_only,
)
from retina_adapt.backbones import ReconstructionBackbone, load_backbone

every_kind = pytest.mark.parametrize("kind", CONFIGS)


def outputs(backbone: ReconstructionBackbone, frames: Tensor) -> list[Tensor]:
    """What each part of the backbone makes of the frames."""
    with torch.no_grad():
        latents = backbone.encode(frames)
        return [latents, backbone.decode(latents), backbone.predict(latents, torch.tensor([3, 700]), latents)]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_every_registered_kind_is_under_contract() -> None:
    assert set(AdaptorKind) == KINDS_COVERED


@every_kind
def test_attaching_an_untrained_adaptor_changes_no_output_bit(
    kind: str, toy_backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    before = outputs(toy_backbone, frames)
    adapted = attach_adaptor(toy_backbone, config_of(kind), "first")
    assert equal(outputs(toy_backbone, frames), before)
    attach_adaptor(adapted, config_of(kind), "second")
    adapted.set_adapter("second")
    assert equal(outputs(toy_backbone, frames), before)


@every_kind
def test_attaching_to_a_half_precision_backbone_is_the_identity_and_keeps_adaptors_in_single_precision(
    kind: str, toy_backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    backbone = toy_backbone.to(torch.bfloat16)
    before = outputs(backbone, frames.bfloat16())
    adapted = attach_adaptor(backbone, config_of(kind), "first")
    assert equal(outputs(backbone, frames.bfloat16()), before)
    assert {parameter.dtype for parameter in adaptor_parameters(adapted, "first")} == {torch.float32}


@every_kind
def test_training_moves_adaptors_and_not_a_bit_of_the_backbone(
    kind: str, toy_backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    before = {name: tensor.clone() for name, tensor in toy_backbone.state_dict().items()}
    guard = FrozenBackboneGuard(toy_backbone)
    adapted = attach_adaptor(toy_backbone, config_of(kind), "first")
    untrained = outputs(toy_backbone, frames)
    optimizer = torch.optim.AdamW(train_only(adapted, "first", ["encoder", "decoder"]), lr=0.01)
    guard.check_optimizer(optimizer)
    for _ in range(3):
        toy_backbone.decode(toy_backbone.encode(frames)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    guard.check()
    after = backbone_tensors(toy_backbone)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not equal(outputs(toy_backbone, frames), untrained)


@every_kind
def test_the_guard_notices_one_changed_value(kind: str, toy_backbone: ReconstructionBackbone) -> None:
    guard = FrozenBackboneGuard(toy_backbone)
    attach_adaptor(toy_backbone, config_of(kind), "first")
    tensor = next(iter(backbone_tensors(toy_backbone).values()))
    tensor.view(-1)[0] += 1e-6
    with pytest.raises(FrozenBackboneError, match="must stay frozen"):
        guard.check()


@every_kind
def test_the_guard_refuses_an_optimizer_with_a_backbone_tensor(kind: str, toy_backbone: ReconstructionBackbone) -> None:
    guard = FrozenBackboneGuard(toy_backbone)
    adapted = attach_adaptor(toy_backbone, config_of(kind), "first")
    parameters = [*adaptor_parameters(adapted, "first"), next(toy_backbone.parameters())]
    with pytest.raises(FrozenBackboneError, match="holds 1 tensors"):
        guard.check_optimizer(torch.optim.AdamW(parameters))


@every_kind
@pytest.mark.parametrize("groups", [["encoder"], ["decoder", "denoiser.mid"], ["denoiser"]])
def test_only_the_chosen_hook_groups_require_gradients(
    kind: str, groups: list[str], toy_backbone: ReconstructionBackbone
) -> None:
    adapted = attach_adaptor(toy_backbone, config_of(kind), "first")
    chosen = train_only(adapted, "first", groups)
    assert {id(p) for p in adapted.parameters() if p.requires_grad} == {id(p) for p in chosen}
    prefixes = {"encoder": "autoencoder.encoder", "decoder": "autoencoder.decoder", "denoiser": "denoiser."}
    prefixes["denoiser.mid"] = "denoiser.mid_block"
    for name, parameter in toy_backbone.named_parameters():
        if parameter.requires_grad:
            assert name.startswith(tuple(prefixes[group] for group in groups))


@every_kind
def test_a_saved_adaptor_gives_the_same_bits_in_a_new_process(
    kind: str, toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path, frames: Tensor, tmp_path: Path
) -> None:
    adapted = attach_adaptor(toy_backbone, config_of(kind), "first")
    disturb(adapted, "first")
    save_adaptor(adapted, "first", tmp_path / "adaptor", METADATA)
    torch.save(frames, tmp_path / "frames.pt")
    script = f"""
import torch
from retina_adapt.adaptors import load_adaptor
from retina_adapt.backbones import load_backbone
backbone = load_backbone({str(toy_backbone_folder)!r})
load_adaptor(backbone, {str(tmp_path / "adaptor")!r}, "other-name")
frames = torch.load({str(tmp_path / "frames.pt")!r})
with torch.no_grad():
    latents = backbone.encode(frames)
    outputs = [latents, backbone.decode(latents), backbone.predict(latents, torch.tensor([3, 700]), latents)]
torch.save(outputs, {str(tmp_path / "outputs.pt")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert equal(torch.load(tmp_path / "outputs.pt"), outputs(toy_backbone, frames))
    files = {path.name for path in (tmp_path / "adaptor").iterdir()}
    assert files == {"adaptor_model.safetensors", "adaptor_config.json", "README.md"}


@every_kind
def test_swapping_disabling_and_deleting_leave_no_trace(
    kind: str, toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path, frames: Tensor, tmp_path: Path
) -> None:
    adapted = attach_adaptor(toy_backbone, config_of(kind), "a")
    disturb(adapted, "a", seed=1)
    save_adaptor(adapted, "a", tmp_path / "a", METADATA)
    attach_adaptor(adapted, config_of(kind), "b")
    disturb(adapted, "b", seed=2)
    save_adaptor(adapted, "b", tmp_path / "b", METADATA)

    def fresh(*names: str) -> list[Tensor]:
        backbone = load_backbone(toy_backbone_folder)
        for name in names:
            load_adaptor(backbone, tmp_path / name, name)
        return outputs(backbone, frames)

    assert equal(outputs(toy_backbone, frames), fresh("a"))
    adapted.set_adapter("b")
    assert equal(outputs(toy_backbone, frames), fresh("b"))
    assert not equal(fresh("a"), fresh("b"))
    with adapted.disable_adapter():
        assert equal(outputs(toy_backbone, frames), fresh())
    with adaptors_bypassed(toy_backbone):
        assert equal(outputs(toy_backbone, frames), fresh())
    adapted.set_adapter("a")
    adapted.delete_adapter("b")
    assert equal(outputs(toy_backbone, frames), fresh("a"))
    plain = adapted.unload()
    assert equal(outputs(plain, frames), fresh())
    assert plain.fingerprint() == load_backbone(toy_backbone_folder).fingerprint()


@every_kind
def test_merging_is_refused_with_the_reason(kind: str, toy_backbone: ReconstructionBackbone) -> None:
    adapted = attach_adaptor(toy_backbone, config_of(kind), "first")
    for merge in (adapted.merge_adapter, adapted.merge_and_unload):
        with pytest.raises(MergeError, match="non-linear branch"):
            merge()


@every_kind
def test_a_further_adaptor_attached_by_loading_leaves_the_active_one_active(
    kind: str, toy_backbone: ReconstructionBackbone, frames: Tensor, tmp_path: Path
) -> None:
    adapted = attach_adaptor(toy_backbone, config_of(kind), "a")
    disturb(adapted, "a")
    save_adaptor(adapted, "a", tmp_path / "a", METADATA)
    before = outputs(toy_backbone, frames)
    load_adaptor(adapted, tmp_path / "a", "copy")
    assert adapted.active_adapters == ["a"]
    assert equal(outputs(toy_backbone, frames), before)


@pytest.mark.parametrize("name", ["first", "with.dot", "", "with space"])
def test_a_name_that_is_taken_or_cannot_be_used_is_refused(name: str, toy_backbone: ReconstructionBackbone) -> None:
    adapted = attach_adaptor(toy_backbone, config_of("residual"), "first")
    with pytest.raises(AdaptorNameError):
        attach_adaptor(adapted, config_of("residual"), name)
