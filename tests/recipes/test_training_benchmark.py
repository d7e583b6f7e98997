"""`recipes/benchmark.py training`, as its users start it, at toy size."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from retina_adapt.adaptors import FrozenBackboneError
from retina_adapt.backbones import ReconstructionBackbone, save_backbone
from retina_adapt.commands.recipes import recipes_folder

ARMS = ["adaptor, denoiser only", "full fine-tuning"]


@pytest.mark.slow
def test_it_measures_memory_and_steps_of_every_arm_and_writes_what_it_prints(
    start_recipe: Callable[..., str], toy_backbone_of: Callable[[str], ReconstructionBackbone], tmp_path: Path
) -> None:
    backbone = toy_backbone_of("isotropic-unet")
    save_backbone(backbone, tmp_path / "backbone")
    written = ["--results", tmp_path / "training.json", "--document", tmp_path / "results.md"]
    options = ["--backbone", tmp_path / "backbone", *written, "--repeats", 1]
    printed = start_recipe("benchmark", "training", "--arms", json.dumps(ARMS), *options, "--batch_size", 2)
    assert printed.strip() in (tmp_path / "results.md").read_text()
    rows = json.loads((tmp_path / "training.json").read_text())["arms"]
    assert [(row["arm"], row["checkpointing"]) for row in rows] == [(arm, c) for arm in ARMS for c in (False, True)]
    for row in rows:
        # A gradient for each parameter that is trained, Adam's two moments and its steps, and nothing else.
        assert row["gradients"] == 4 * row["trainable_parameters"] > 0
        assert 0 < row["optimizer_state"] - 8 * row["trainable_parameters"] < 4 * row["trainable_parameters"]
        assert row["process_peak"] > row["peak"] > 0
        assert row["seconds"] > 0
    adaptor, adaptor_anew, full, full_anew = (row["floating_point_operations"] for row in rows)
    assert adaptor_anew > adaptor
    assert full_anew > full
    assert rows[2]["trainable_parameters"] == sum(tensor.numel() for tensor in backbone.autoencoder.parameters())


def test_a_gradient_of_the_backbone_beside_an_adaptors_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(recipes_folder()))
    from benchmarks.training.measuring import require_gradients_of_adaptors_alone

    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network(torch.ones(1, 2)).sum().backward()
    require_gradients_of_adaptors_alone(network, list(network.parameters()))
    with pytest.raises(FrozenBackboneError, match=r"2 tensors of the backbone hold gradients, the first being 0\."):
        require_gradients_of_adaptors_alone(network, list(network[1].parameters()))
