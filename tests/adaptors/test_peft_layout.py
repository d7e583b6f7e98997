"""Adaptors go to PEFT and come back, and LoRA of PEFT and diffusers become adaptors that do the same."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from toy_adaptors import METADATA, SETTINGS, disturb, equal, largest_difference, outputs
from toy_files import save_toy_adaptor

from retina_adapt.adaptors import (
    AdaptorFileError,
    MergeError,
    adaptor_tensors,
    backbone_tensors,
    describe_adaptor,
    load_adaptor,
    merge_adaptor,
    save_adaptor,
)
from retina_adapt.adaptors.files import read_adaptor
from retina_adapt.adaptors.foreign_lora import attach_foreign_lora
from retina_adapt.adaptors.layout import PEFT_CONFIG_FILE
from retina_adapt.adaptors.peft_layout import PEFT_TENSORS_FILE, export_to_peft
from retina_adapt.backbones import ReconstructionBackbone, fingerprint_tensors

ENCODER_CONVOLUTIONS = r"autoencoder\.encoder\..*resnets.*conv[12]"


@pytest.fixture
def backbone(trained_backbone_of: Callable[[str], ReconstructionBackbone]) -> ReconstructionBackbone:
    return trained_backbone_of("kl-unet")


@pytest.fixture
def another(trained_backbone_of: Callable[[str], ReconstructionBackbone]) -> ReconstructionBackbone:
    """The same backbone once more."""
    return trained_backbone_of("kl-unet")


def lora_of_peft(backbone: ReconstructionBackbone, **settings: object) -> PeftModel:
    """A LoRA as PEFT makes it, with weights that change the output, on the backbone itself."""
    torch.manual_seed(0)
    model = get_peft_model(backbone, LoraConfig(**{"r": 4, "target_modules": ENCODER_CONVOLUTIONS} | settings))
    disturb(model, "default")
    return model.eval()


@pytest.mark.parametrize("case", SETTINGS)
def test_peft_alone_loads_what_is_exported_and_does_the_same(
    case: str, backbone: ReconstructionBackbone, another: ReconstructionBackbone, frames: Tensor, tmp_path: Path
) -> None:
    settings = dataclasses.replace(SETTINGS[case], hook_groups=["encoder", "denoiser.mid"])
    save_toy_adaptor(backbone, tmp_path / "ours", settings=settings)
    load_adaptor(backbone, tmp_path / "ours", "ours")
    export_to_peft(tmp_path / "ours", tmp_path / "plain")
    PeftModel.from_pretrained(another, tmp_path / "plain")
    assert equal(outputs(another, frames), outputs(backbone, frames))


def test_the_exported_settings_are_those_of_pefts_own_kind(backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    save_toy_adaptor(backbone, tmp_path / "ours", settings=SETTINGS["lora"])
    export_to_peft(tmp_path / "ours", tmp_path / "plain")
    config = json.loads((tmp_path / "plain" / PEFT_CONFIG_FILE).read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 2)
    assert "hook_groups" not in config
    assert set(config["target_modules"]) == {name.split(".lora_")[0] for name in read_adaptor(tmp_path / "ours")[1]}


def test_an_adaptor_of_peft_is_pointed_to_what_takes_it(backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    save_toy_adaptor(backbone, tmp_path / "ours", settings=SETTINGS["lora"])
    export_to_peft(tmp_path / "ours", tmp_path / "plain")
    with pytest.raises(AdaptorFileError, match=r"holds an adaptor in PEFT's layout; .*'retina-adapt adaptors import'"):
        load_adaptor(backbone, tmp_path / "plain", "plain")


def test_nothing_is_overwritten(backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    save_toy_adaptor(backbone, tmp_path / "ours")
    with pytest.raises(AdaptorFileError, match="exists already"):
        export_to_peft(tmp_path / "ours", tmp_path / "ours")


@pytest.mark.parametrize("case", ["lora", "dora"])
def test_what_is_exported_comes_back_bit_for_bit(case: str, backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    save_toy_adaptor(backbone, tmp_path / "ours", settings=SETTINGS[case])
    export_to_peft(tmp_path / "ours", tmp_path / "plain")
    adapted = attach_foreign_lora(backbone, tmp_path / "plain", "back")
    save_adaptor(adapted, "back", tmp_path / "back", METADATA)
    (description, tensors), (expected_description, expected) = (
        read_adaptor(tmp_path / name) for name in ("back", "ours")
    )
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    settings, expected_settings = (each.to_dict()["settings"] for each in (description, expected_description))
    groups, expected_groups = settings.pop("hook_groups"), expected_settings.pop("hook_groups")
    assert settings == expected_settings
    assert {group.split(".")[0] for group in groups} == set(expected_groups)


FOREIGN = {
    "equal ranks": {"lora_alpha": 4},
    "a scale": {"lora_alpha": 3},
    "a fractional scale": {"lora_alpha": 0.5},
    "rank-stabilised": {"use_rslora": True, "lora_alpha": 6},
    "ranks and scales of their own": {"rank_pattern": {"conv1": 2}, "alpha_pattern": {"conv2": 9}},
    "some layers only": {"target_modules": r"autoencoder\.decoder.*conv1"},
    "the denoiser": {"target_modules": r"denoiser\.mid_block.*conv[12]"},
    "DoRA": {"use_dora": True, "lora_alpha": 6},
    "DoRA in some layers": {"use_dora": True, "target_modules": r"autoencoder\.encoder\.mid.*conv1"},
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_lora_of_peft_becomes_an_adaptor_that_does_the_same(
    case: str, backbone: ReconstructionBackbone, another: ReconstructionBackbone, frames: Tensor, tmp_path: Path
) -> None:
    frozen = outputs(backbone, frames)
    model = lora_of_peft(backbone, **FOREIGN[case])
    model.save_pretrained(tmp_path / "foreign")
    expected = outputs(backbone, frames)
    assert largest_difference(expected, frozen) > 1e-3
    before = fingerprint_tensors(backbone_tensors(another))
    adapted = attach_foreign_lora(another, tmp_path / "foreign", "imported")
    assert largest_difference(outputs(another, frames), expected) < 1e-5
    save_adaptor(adapted, "imported", tmp_path / "ours", METADATA)
    adapted.unload()
    assert fingerprint_tensors(backbone_tensors(another)) == before
    load_adaptor(another, tmp_path / "ours", "saved")
    assert largest_difference(outputs(another, frames), expected) < 1e-5
    assert describe_adaptor(tmp_path / "ours").kind == ("dora" if "DoRA" in case else "lora")


def test_a_small_change_in_half_precision_is_not_lost_while_it_is_scaled(
    backbone: ReconstructionBackbone, another: ReconstructionBackbone, tmp_path: Path
) -> None:
    lora_of_peft(backbone, use_rslora=True, lora_alpha=0.05).save_pretrained(tmp_path / "foreign")
    path = tmp_path / "foreign" / PEFT_TENSORS_FILE
    small = {
        key: (tensor * 1e-4 if "lora_B" in key else tensor).half()
        for key, tensor in safetensors.torch.load_file(path).items()
    }
    safetensors.torch.save_file(small, path)
    adapted = attach_foreign_lora(another, tmp_path / "foreign", "imported")
    imported = adaptor_tensors(adapted, "imported")
    before = {key: tensor for key, tensor in small.items() if "lora_B" in key and tensor.any()}
    assert before
    for key, tensor in before.items():
        found = imported[key.removeprefix("base_model.model.")]
        torch.testing.assert_close(found, tensor.float() * (0.05 / 2), rtol=1e-5, atol=0)


def test_strengths_by_regular_expressions_are_refused_rather_than_ignored(
    backbone: ReconstructionBackbone, another: ReconstructionBackbone, tmp_path: Path
) -> None:
    lora_of_peft(backbone, lora_alpha=4, alpha_pattern={"conv1|conv2": 64}).save_pretrained(tmp_path / "foreign")
    with pytest.raises(AdaptorFileError, match=r"alpha_pattern has 'conv1\|conv2', which is not a layer's name"):
        attach_foreign_lora(another, tmp_path / "foreign", "imported")


def test_beside_a_merged_adaptor_the_file_is_not_blamed(
    backbone: ReconstructionBackbone, another: ReconstructionBackbone, tmp_path: Path
) -> None:
    lora_of_peft(backbone).save_pretrained(tmp_path / "foreign")
    adapted = attach_foreign_lora(another, tmp_path / "foreign", "one")
    with merge_adaptor(adapted, "one"), pytest.raises(MergeError, match="unmerge it first"):
        attach_foreign_lora(adapted, tmp_path / "foreign", "two")


def test_importing_is_repeatable_and_leaves_the_random_state_alone(
    backbone: ReconstructionBackbone, another: ReconstructionBackbone, tmp_path: Path
) -> None:
    lora_of_peft(backbone, target_modules=r"autoencoder\.decoder.*conv1").save_pretrained(tmp_path / "foreign")
    state = torch.get_rng_state()
    first = attach_foreign_lora(another, tmp_path / "foreign", "one")
    again = attach_foreign_lora(first, tmp_path / "foreign", "two")
    assert torch.equal(torch.get_rng_state(), state)
    one, two = adaptor_tensors(again, "one"), adaptor_tensors(again, "two")
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("form", ["with settings", "without settings", "with alphas"])
def test_a_lora_file_of_diffusers_becomes_an_adaptor_that_does_the_same(
    form: str, backbone: ReconstructionBackbone, another: ReconstructionBackbone, frames: Tensor, tmp_path: Path
) -> None:
    alpha = 4 if form == "without settings" else 2
    model = lora_of_peft(backbone, target_modules=r"denoiser\.mid_block.*conv[12]", lora_alpha=alpha)
    expected = outputs(backbone, frames)
    tensors, header = {}, {"format": "pt"}
    for name, tensor in adaptor_tensors(model, "default").items():
        pipeline_name = name.replace("denoiser.", "unet.")
        if form == "with alphas":
            pipeline_name = pipeline_name.replace("lora_A", "lora.down").replace("lora_B", "lora.up")
            tensors[pipeline_name.split(".lora.")[0] + ".alpha"] = torch.tensor(float(alpha))
        tensors[pipeline_name] = tensor.detach().contiguous()
    if form == "with settings":
        header["lora_adapter_metadata"] = json.dumps({"unet.r": 4, "unet.lora_alpha": alpha})
    safetensors.torch.save_file(tensors, tmp_path / "pytorch_lora_weights.safetensors", metadata=header)
    attach_foreign_lora(another, tmp_path / "pytorch_lora_weights.safetensors", "imported")
    assert equal(outputs(another, frames), expected)


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = safetensors.torch.load_file(folder / PEFT_TENSORS_FILE)
    change(tensors)
    safetensors.torch.save_file(tensors, folder / PEFT_TENSORS_FILE)


def configure(folder: Path, **values: object) -> None:
    config = json.loads((folder / PEFT_CONFIG_FILE).read_text())
    (folder / PEFT_CONFIG_FILE).write_text(json.dumps(config | values))


def first_of(tensors: dict[str, Tensor], ending: str) -> str:
    return next(name for name in tensors if name.endswith(ending))


UNCONVERTIBLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "another kind": (lambda f: configure(f, peft_type="IA3"), "only LORA"),
    "a bias": (lambda f: configure(f, bias="all"), "sets bias"),
    "further modules": (lambda f: configure(f, modules_to_save=["conv_in"]), "sets modules_to_save"),
    "a start that changed the backbone": (
        lambda f: configure(f, init_lora_weights="pissa_niter_4"),
        "init_lora_weights is 'pissa_niter_4', which changed the weights of the backbone too",
    ),
    "no number": (lambda f: configure(f, lora_alpha="__import__('os')"), "lora_alpha must be a number"),
    "a number beyond all limits": (lambda f: configure(f, lora_alpha=10**400), "lora_alpha must be a number"),
    "infinite scale": (lambda f: configure(f, lora_alpha=float("inf")), "lora_alpha must be a number"),
    "DoRA without magnitudes": (lambda f: configure(f, use_dora=True), "are DoRA, others"),
    "broken settings": (lambda f: (f / PEFT_CONFIG_FILE).write_text("["), "cannot be read as JSON"),
    "no settings": (lambda f: (f / PEFT_CONFIG_FILE).unlink(), "no such file"),
    "no tensors": (lambda f: (f / PEFT_TENSORS_FILE).unlink(), "no such file"),
    "a missing half": (lambda f: rewrite(f, lambda t: t.pop(first_of(t, "lora_A.weight"))), "no lora_A and lora_B"),
    "another shape": (
        lambda f: rewrite(f, lambda t: t.update({first_of(t, "lora_A.weight"): torch.zeros(4, 5, 3, 3)})),
        "expected float32, float16 or bfloat16",
    ),
    "NaN": (
        lambda f: rewrite(f, lambda t: t[first_of(t, "lora_B.weight")].fill_(float("nan"))),
        "NaN",
    ),
    "a rank of zero": (
        lambda f: rewrite(
            f,
            lambda t: t.update(
                {
                    first_of(t, "lora_A.weight"): torch.zeros(0, 16, 3, 3),
                    first_of(t, "lora_B.weight"): torch.zeros(16, 0, 1, 1),
                }
            ),
        ),
        "has rank 0",
    ),
    "a rank beyond all limits": (
        lambda f: rewrite(
            f,
            lambda t: t.update(
                {
                    first_of(t, "lora_A.weight"): torch.zeros(5000, 1, 1, 1),
                    first_of(t, "lora_B.weight"): torch.zeros(1, 5000, 1, 1),
                }
            ),
        ),
        "must be a whole number from 1 to 4096",
    ),
    "a layer of another backbone": (
        lambda f: rewrite(f, lambda t: t.update({"text_encoder.layer.lora_A.weight": torch.zeros(4, 4)})),
        "does not have",
    ),
    "a layer outside of hook points": (
        lambda f: rewrite(
            f,
            lambda t: t.update(
                {
                    "autoencoder.encoder.conv_in.lora_A.weight": torch.zeros(4, 12, 3, 3),
                    "autoencoder.encoder.conv_in.lora_B.weight": torch.zeros(16, 4, 1, 1),
                }
            ),
        ),
        "inside a hook point",
    ),
    "a tensor of another kind": (
        lambda f: rewrite(f, lambda t: t.update({"autoencoder.encoder.conv_in.hada_w1_a": torch.zeros(4, 4)})),
        "not part of a LoRA",
    ),
}


@pytest.mark.parametrize("case", UNCONVERTIBLE)
def test_what_cannot_become_an_adaptor_is_an_error_that_names_the_file_and_leaves_no_trace(
    case: str, backbone: ReconstructionBackbone, another: ReconstructionBackbone, tmp_path: Path
) -> None:
    lora_of_peft(backbone).save_pretrained(tmp_path / "foreign")
    spoil, message = UNCONVERTIBLE[case]
    spoil(tmp_path / "foreign")
    before = [name for name, _ in another.named_modules()]
    with pytest.raises(AdaptorFileError, match=message) as caught:
        attach_foreign_lora(another, tmp_path / "foreign", "imported")
    assert str(tmp_path / "foreign") in str(caught.value)
    assert [name for name, _ in another.named_modules()] == before


def test_another_kind_of_peft_is_refused(
    backbone: ReconstructionBackbone, another: ReconstructionBackbone, tmp_path: Path
) -> None:
    config = IA3Config(target_modules=ENCODER_CONVOLUTIONS, feedforward_modules=[])
    get_peft_model(backbone, config).save_pretrained(tmp_path / "foreign")
    with pytest.raises(AdaptorFileError, match="not part of a LoRA"):
        attach_foreign_lora(another, tmp_path / "foreign", "imported")
