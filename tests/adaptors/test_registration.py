"""The contract with the pinned range of peft: its public API works on our kinds."""

from pathlib import Path

import pytest
import torch
from peft import PeftConfig, PeftModel, PeftType, get_peft_model
from torch import Tensor
from toy_adaptors import CONFIGS, config_of, disturb

from retina_adapt.adaptors import AdaptorKind
from retina_adapt.backbones import ReconstructionBackbone, load_backbone


@pytest.mark.parametrize("kind", CONFIGS)
def test_peft_saves_and_loads_our_kinds(
    kind: str, toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path, frames: Tensor, tmp_path: Path
) -> None:
    model = get_peft_model(toy_backbone, config_of(kind), "default")
    disturb(model, "default")
    model.save_pretrained(tmp_path / "plain")
    assert isinstance(PeftConfig.from_pretrained(tmp_path / "plain"), type(config_of(kind)))
    other = load_backbone(toy_backbone_folder)
    PeftModel.from_pretrained(other, tmp_path / "plain")
    with torch.no_grad():
        assert torch.equal(other.encode(frames), toy_backbone.encode(frames))


@pytest.mark.parametrize("kind", CONFIGS)
def test_peft_reports_the_status_of_our_layers(kind: str, toy_backbone: ReconstructionBackbone) -> None:
    model = get_peft_model(toy_backbone, config_of(kind), "one")
    status = model.get_model_status()
    assert status.active_adapters == ["one"]
    assert status.num_adapter_layers == len(toy_backbone.hook_points())
    assert status.trainable_params == sum(p.numel() for p in model.parameters() if p.requires_grad) > 0


def test_our_kinds_do_not_collide_with_pefts() -> None:
    assert not {kind.value for kind in AdaptorKind} & {member.value for member in PeftType}
