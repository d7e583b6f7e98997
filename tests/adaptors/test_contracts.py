"""The contracts of docs/architecture.md, for every adaptor kind on several backbones."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from contracts import contract
from new_process import run_script
from toy_adaptors import METADATA, SETTINGS, attach, disturb, equal, largest_difference, outputs

from retina_adapt.adaptors import (
    KINDS,
    AdaptorKind,
    FrozenBackboneError,
    FrozenBackboneGuard,
    adaptor_parameters,
    adaptors_bypassed,
    attach_adaptor,
    backbone_tensors,
    detach_adaptor,
    load_adaptor,
    save_adaptor,
    train_only,
)
from retina_adapt.backbones import ReconstructionBackbone, backbone_names, load_backbone, save_backbone

every_kind = pytest.mark.parametrize("case", SETTINGS)
# For what depends on where a kind's parameters lie alone: modules or plain parameters, at hook points or inside them.
every_family = pytest.mark.parametrize("case", ["residual", "lora", "ia3"])


def test_every_kind_is_under_contract() -> None:
    assert {settings.kind for settings in SETTINGS.values()} == set(KINDS)
    assert {kind.value.removeprefix("RETINA_").lower() for kind in AdaptorKind} <= set(KINDS)


@contract("identity at start", "exact")
@every_kind
def test_attaching_an_untrained_adaptor_changes_no_output_bit(
    case: str, backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    before = outputs(backbone, frames)
    adapted = attach(backbone, case, "first")
    assert equal(outputs(backbone, frames), before)
    attach(adapted, case, "second")
    adapted.set_adapter("second")
    assert equal(outputs(backbone, frames), before)


@pytest.mark.parametrize("case", ["residual", "serial", "lora"])
@pytest.mark.parametrize("name", [name for name in backbone_names() if name != "nafnet"])
def test_every_backbone_takes_a_network_at_its_blocks_and_a_change_of_its_weights(
    name: str, case: str, trained_backbone_of: Callable[[str], ReconstructionBackbone], frames: torch.Tensor
) -> None:
    backbone = trained_backbone_of(name)
    before = outputs(backbone, frames)
    adapted = attach(backbone, case, "first")
    assert equal(outputs(backbone, frames), before)
    disturb(adapted, "first")
    after = outputs(backbone, frames)
    assert all(not torch.equal(one, other) for one, other in zip(after, before, strict=True))


@every_kind
def test_a_half_precision_backbone_keeps_its_outputs_and_adaptors_their_single_precision(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    backbone, frames = small_backbone.to(torch.bfloat16), frames.bfloat16()
    before = outputs(backbone, frames)
    adapted = attach(backbone, case, "first")
    after = outputs(backbone, frames)
    # PEFT computes BOFT in the adaptor's precision, which is more exact than the backbone's own.
    assert equal(after, before) or (case == "boft" and largest_difference(after, before) < 2**-5)
    assert {parameter.dtype for parameter in adaptor_parameters(adapted, "first")} == {torch.float32}


@contract("frozen backbone", "exact")
@every_kind
def test_training_moves_adaptors_and_not_a_bit_of_the_backbone(
    case: str, backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    guard = FrozenBackboneGuard(backbone)
    adapted = attach(backbone, case, "first")
    untrained = outputs(backbone, frames)
    optimizer = torch.optim.AdamW(train_only(adapted, "first", ["encoder", "decoder"]), lr=0.01)
    guard.check_optimizer(optimizer)
    for _ in range(3):
        backbone.decode(backbone.encode(frames)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    guard.check()
    after = backbone_tensors(backbone)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not equal(outputs(backbone, frames)[:2], untrained[:2])


@every_family
def test_the_guard_notices_one_changed_value(case: str, small_backbone: ReconstructionBackbone) -> None:
    guard = FrozenBackboneGuard(small_backbone)
    attach(small_backbone, case, "first")
    tensor = next(iter(backbone_tensors(small_backbone).values()))
    tensor.view(-1)[0] += 1e-6
    with pytest.raises(FrozenBackboneError, match="must stay frozen"):
        guard.check()


@every_family
def test_the_guard_refuses_an_optimizer_that_holds_the_backbone(
    case: str, small_backbone: ReconstructionBackbone
) -> None:
    guard = FrozenBackboneGuard(small_backbone)
    adapted = attach(small_backbone, case, "first")
    optimizer = torch.optim.SGD(
        [*adaptor_parameters(adapted, "first"), small_backbone.autoencoder.decoder.conv_in.weight], lr=0.1
    )
    with pytest.raises(FrozenBackboneError, match="holds 1 tensors"):
        guard.check_optimizer(optimizer)


@every_family
@pytest.mark.parametrize("groups", [["encoder"], ["decoder"], ["denoiser"], ["encoder", "denoiser.mid"]])
def test_only_the_chosen_hook_groups_train(
    groups: list[str], case: str, small_backbone: ReconstructionBackbone
) -> None:
    adapted = attach(small_backbone, case, "first")
    train_only(adapted, "first", groups)
    points = [
        point.name
        for point in small_backbone.hook_points()
        if point.group in groups or point.group.split(".")[0] in groups
    ]
    trained = [name for name, parameter in small_backbone.named_parameters() if parameter.requires_grad]
    assert {point for point in points if any(name.startswith(f"{point}.") for name in trained)} == set(points)
    assert all(any(name.startswith(f"{point}.") for point in points) for name in trained)


@pytest.fixture(scope="module")
def outputs_of_a_new_process(
    trained_backbone_of: Callable[[str], ReconstructionBackbone], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """One adaptor of every kind, saved here and loaded by one other process, which wrote what it computes."""
    folder = tmp_path_factory.mktemp("round_trip")
    backbone = trained_backbone_of("isotropic-transformer")
    save_backbone(backbone, folder / "backbone")
    torch.save(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)), folder / "frames.pt")
    for case in SETTINGS:
        adapted = attach(backbone, case, "first")
        disturb(adapted, "first")
        save_adaptor(adapted, "first", folder / case, METADATA)
        adapted.unload()
    script = """
import sys
import torch
from toy_adaptors import SETTINGS, outputs
from retina_adapt.adaptors import load_adaptor
from retina_adapt.backbones import load_backbone
folder = sys.argv[1]
backbone = load_backbone(folder + "/backbone")
for case in SETTINGS:
    adapted = load_adaptor(backbone, folder + "/" + case, "other-name")
    torch.save(outputs(backbone, torch.load(folder + "/frames.pt")), folder + "/" + case + ".pt")
    adapted.unload()
"""
    run_script(script, folder, path=[Path(__file__).parent])
    return folder


@contract("round trip", "exact")
@every_kind
def test_a_saved_adaptor_gives_the_same_bits_in_a_new_process(
    case: str, outputs_of_a_new_process: Path, small_backbone: ReconstructionBackbone, frames: torch.Tensor
) -> None:
    adapted = attach(small_backbone, case, "first")
    disturb(adapted, "first")
    assert equal(torch.load(outputs_of_a_new_process / f"{case}.pt"), outputs(small_backbone, frames))
    files = {path.name for path in (outputs_of_a_new_process / case).iterdir()}
    assert files == {"adaptor_model.safetensors", "adaptor_config.json", "README.md"}


@contract("swap", "exact")
@every_kind
def test_swapping_disabling_and_deleting_leave_no_trace(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor, tmp_path: Path
) -> None:
    backbone = small_backbone
    save_backbone(backbone, tmp_path / "backbone")
    modules_before = [(name, type(module)) for name, module in backbone.named_modules()]
    adapted = attach(backbone, case, "light")
    disturb(adapted, "light", seed=1)
    save_adaptor(adapted, "light", tmp_path / "light", METADATA)
    attach(adapted, case, "haze")
    disturb(adapted, "haze", seed=2)
    save_adaptor(adapted, "haze", tmp_path / "haze", METADATA)

    def fresh(*names: str) -> list[torch.Tensor]:
        loaded = load_backbone(tmp_path / "backbone")
        for name in names:
            load_adaptor(loaded, tmp_path / name, name)
        return outputs(loaded, frames)

    frozen, with_light, with_haze = fresh(), fresh("light"), fresh("haze")
    assert not equal(with_light, with_haze)
    assert equal(outputs(backbone, frames), with_light)
    adapted.set_adapter("haze")
    assert equal(outputs(backbone, frames), with_haze)
    with adapted.disable_adapter():
        assert equal(outputs(backbone, frames), frozen)
    with adaptors_bypassed(backbone):
        assert equal(outputs(backbone, frames), frozen)
    adapted.set_adapter("light")
    detach_adaptor(adapted, "haze")
    assert equal(outputs(backbone, frames), with_light)
    detach_adaptor(adapted, "light")
    assert equal(outputs(backbone, frames), frozen)
    assert [(name, type(module)) for name, module in backbone.named_modules()] == modules_before
    assert backbone.fingerprint() == load_backbone(tmp_path / "backbone").fingerprint()


@every_family
def test_a_further_adaptor_attached_by_loading_leaves_the_active_one_active(
    case: str, small_backbone: ReconstructionBackbone, frames: torch.Tensor, tmp_path: Path
) -> None:
    adapted = attach(small_backbone, case, "first")
    disturb(adapted, "first")
    save_adaptor(adapted, "first", tmp_path / "first", METADATA)
    before = outputs(small_backbone, frames)
    load_adaptor(adapted, tmp_path / "first", "second")
    assert adapted.active_adapters == ["first"]
    assert equal(outputs(small_backbone, frames), before)


@every_family
def test_without_a_denoiser_adaptors_sit_in_the_autoencoder(
    case: str, trained_backbone_of: Callable[[str], ReconstructionBackbone], frames: torch.Tensor
) -> None:
    backbone = trained_backbone_of("nafnet")
    before = outputs(backbone, frames)
    config = dataclasses.replace(SETTINGS[case], hook_groups=["encoder", "decoder"]).to_peft_config()
    adapted = attach_adaptor(backbone, config, "first")
    assert equal(outputs(backbone, frames), before)
    disturb(adapted, "first")
    assert not equal(outputs(backbone, frames), before)
