"""Contracts 3 and 4: a backbone folder comes back as it was, or not at all; nothing in it is ever unpickled."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from retina_adapt.backbones import BackboneFileError, ReconstructionBackbone, load_backbone, save_backbone

WEIGHTS = "autoencoder/diffusion_pytorch_model.safetensors"


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_settings(folder: Path, **changes: object) -> None:
    edit_json(folder / INDEX, settings=json.loads((folder / INDEX).read_text())["settings"] | changes)


def edit_tensors(path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file(tensors, path)


def test_loading_freezes_and_evaluates(toy_backbone_folder: Path) -> None:
    loaded = load_backbone(toy_backbone_folder)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_storing_what_was_loaded_keeps_the_fingerprint_whatever_the_memory_format(
    toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    save_backbone(load_backbone(toy_backbone_folder).to(memory_format=torch.channels_last), tmp_path / "again")
    assert load_backbone(tmp_path / "again").fingerprint() == toy_backbone.fingerprint()


def test_the_settings_and_the_noise_schedule_come_back(
    toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path
) -> None:
    loaded = load_backbone(toy_backbone_folder)
    assert loaded.settings == toy_backbone.settings
    values, expected = (
        # Which values were defaults is diffusers' own note, and not kept.
        {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
        for scheduler in (loaded.scheduler, toy_backbone.scheduler)
    )
    assert values == expected
    assert torch.equal(loaded.scheduler.alphas_cumprod, toy_backbone.scheduler.alphas_cumprod)


def test_a_stored_backbone_replaces_the_one_before_it_whole(
    toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path
) -> None:
    toy_backbone.denoiser = None
    save_backbone(toy_backbone, toy_backbone_folder)
    assert not (toy_backbone_folder / "denoiser").exists()
    assert load_backbone(toy_backbone_folder).denoiser is None


def test_storing_replaces_neither_other_things_nor_another_pipeline_of_diffusers(
    toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "eye.png").touch()
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / INDEX).write_text('{"_class_name": "StableDiffusionPipeline"}')
    for name, kept in (("photographs", "eye.png"), ("pipeline", INDEX)):
        with pytest.raises(BackboneFileError, match=f"{name}: holds something that is no backbone"):
            save_backbone(toy_backbone, tmp_path / name)
        assert [path.name for path in (tmp_path / name).iterdir()] == [kept]


def test_a_backbone_in_half_precision_is_not_stored_as_another(
    toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    with pytest.raises(BackboneFileError, match=r"weights of torch\.bfloat16; save it in single precision"):
        save_backbone(toy_backbone.bfloat16(), tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_a_backbone_is_read_from_the_working_directory(
    toy_backbone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy_backbone_folder)
    assert load_backbone(".").settings.image_size == 64


def test_a_backbone_moved_aside_by_a_killed_writer_is_found(toy_backbone_folder: Path) -> None:
    toy_backbone_folder.rename(toy_backbone_folder.with_name(f".{toy_backbone_folder.name}.previous"))
    assert load_backbone(toy_backbone_folder).settings.image_size == 64


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_pickled_weights_beside_the_others_are_never_read(
    toy_backbone: ReconstructionBackbone, toy_backbone_folder: Path, tmp_path: Path
) -> None:
    pickled = pickle.dumps(Trap(tmp_path / "sprung"))
    (toy_backbone_folder / "autoencoder" / "diffusion_pytorch_model.bin").write_bytes(pickled)
    assert load_backbone(toy_backbone_folder).fingerprint() == toy_backbone.fingerprint()
    (toy_backbone_folder / WEIGHTS).unlink()
    with pytest.raises(BackboneFileError, match="get the whole backbone again"):
        load_backbone(toy_backbone_folder)
    (toy_backbone_folder / WEIGHTS).write_bytes(pickled)
    with pytest.raises(BackboneFileError, match="a pickle"):
        load_backbone(toy_backbone_folder)
    assert not (tmp_path / "sprung").exists()


INDEX, AUTOENCODER, SCHEDULER = "model_index.json", "autoencoder/config.json", "scheduler/scheduler_config.json"
DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a missing tensor": (
        lambda f: edit_tensors(f / WEIGHTS, lambda tensors: tensors.pop("encoder.conv_in.weight")),
        WEIGHTS,
        r"Missing key.*encoder\.conv_in\.weight",
    ),
    "an unexpected tensor": (
        lambda f: edit_tensors(f / WEIGHTS, lambda tensors: tensors.update(stray=torch.zeros(1))),
        WEIGHTS,
        "Unexpected key.*stray",
    ),
    "a misshapen tensor": (
        lambda f: edit_tensors(f / WEIGHTS, lambda tensors: tensors.update({"quant_conv.bias": torch.zeros(3)})),
        WEIGHTS,
        r"size mismatch for quant_conv\.bias",
    ),
    "an unknown option of the autoencoder": (
        lambda f: edit_json(f / AUTOENCODER, depth=3),
        AUTOENCODER,
        "no option depth",
    ),
    "an unknown option of the schedule": (lambda f: edit_json(f / SCHEDULER, eta=1), SCHEDULER, "no option eta"),
    "an impossible autoencoder": (lambda f: edit_json(f / AUTOENCODER, norm_num_groups=7), AUTOENCODER, "divisible"),
    "an impossible schedule": (lambda f: edit_json(f / SCHEDULER, beta_schedule="x"), SCHEDULER, "a valid DDIM"),
    "a part of no class": (lambda f: edit_json(f / INDEX, autoencoder={"class": "KLAutoencoder"}), INDEX, "known are"),
    "a class that is no part": (
        lambda f: edit_json(f / INDEX, autoencoder=["os", "system"]),
        INDEX,
        "a 'system'; known",
    ),
    "a denoiser as the autoencoder": (
        lambda f: edit_json(f / INDEX, autoencoder=["retina_adapt", "UNetDenoiser"]),
        INDEX,
        "the autoencoder is a 'UNetDenoiser'",
    ),
    "a scheduler that is not supported": (
        lambda f: edit_json(f / INDEX, scheduler=["diffusers", "PNDMScheduler"]),
        INDEX,
        "the scheduler is a 'PNDMScheduler'",
    ),
    "no settings": (lambda f: edit_json(f / INDEX, settings=None), INDEX, "settings: is a NoneType"),
    "a missing setting": (
        lambda f: edit_json(f / INDEX, settings={"image_size": 64}),
        INDEX,
        "missing: image_channels",
    ),
    "an unknown setting": (
        lambda f: edit_settings(f, image_sighs=1),
        INDEX,
        "unknown: image_sighs",
    ),
    "a setting in words": (
        lambda f: edit_settings(f, image_size="64"),
        INDEX,
        "settings: 'image_size' has an unexpected value: '64'",
    ),
    "a size of zero": (lambda f: edit_settings(f, image_size=0), INDEX, "image_size is 0; .* 1 to"),
    "a size beyond all memory": (
        lambda f: edit_settings(f, image_size=10**5),
        INDEX,
        "settings.image_size is 100000; it must be from 1 to 4096",
    ),
    "a stride of zero": (
        lambda f: edit_settings(f, space_to_depth=0),
        INDEX,
        "settings.space_to_depth is 0",
    ),
    "a change that is not predicted": (
        lambda f: edit_settings(f, predicts_change=True),
        INDEX,
        "settings: predicts_change needs prediction_type sample, not v_prediction",
    ),
    "values that are no numbers": (
        lambda f: edit_tensors(f / WEIGHTS, lambda tensors: tensors["quant_conv.bias"].fill_(float("nan"))),
        WEIGHTS,
        "tensor 'quant_conv.bias' holds NaN or infinite values",
    ),
    "an index without a bottom": (lambda f: (f / INDEX).write_text("[" * 10**5), INDEX, "not valid JSON"),
    "no latent statistics": (lambda f: edit_json(f / INDEX, latent_mean=None), INDEX, "'latent_mean' is None"),
    "words as statistics": (lambda f: edit_json(f / INDEX, latent_mean=["a"] * 4), INDEX, "must hold numbers"),
    "too few statistics": (lambda f: edit_json(f / INDEX, latent_mean=[0.0] * 3), INDEX, "must hold 4 finite"),
    "infinite statistics": (lambda f: edit_json(f / INDEX, latent_mean=[float("inf")] * 4), INDEX, "4 finite"),
    "a deviation of zero": (lambda f: edit_json(f / INDEX, latent_deviation=[0.0] * 4), INDEX, "positive"),
    "a broken index": (lambda f: (f / INDEX).write_text("[1"), INDEX, "not valid JSON"),
    "no index": (lambda f: (f / INDEX).unlink(), INDEX, "no such file"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), WEIGHTS, "get the whole backbone again"),
    "truncated weights": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-9]),
        WEIGHTS,
        "not a whole safetensors file",
    ),
    "a pickle": (lambda f: torch.save({"bias": 1.0}, f / WEIGHTS), WEIGHTS, "a pickle.*never loaded"),
    "tensors of a type that does not exist": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes().replace(b'"F32"', b'"F4_"', 1)),
        WEIGHTS,
        "not a whole safetensors file",
    ),
    "another shape": (lambda f: edit_json(f / AUTOENCODER, latent_channels=6), WEIGHTS, "size mismatch"),
    "an index that is a list": (lambda f: (f / INDEX).write_text("[]"), INDEX, "does not hold a JSON object"),
    "no schedule": (lambda f: (f / SCHEDULER).unlink(), SCHEDULER, "no such file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_does_not_fit_is_an_error_that_names_file_and_reason(damage: str, toy_backbone_folder: Path) -> None:
    make_damage, file, reason = DAMAGES[damage]
    make_damage(toy_backbone_folder)
    with pytest.raises(BackboneFileError, match=f"(?s){reason}") as caught:
        load_backbone(toy_backbone_folder)
    assert str(toy_backbone_folder / file) in str(caught.value)
