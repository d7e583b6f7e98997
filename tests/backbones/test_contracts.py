"""What every registered backbone promises. docs/backbones.md shows the table of backbones and these contracts."""

import inspect
import re
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from math import isqrt
from pathlib import Path

import pytest
import safetensors.torch
import torch
from new_process import run_script
from torch import Tensor

from retina_adapt.backbones import (
    HOOK_GROUPS,
    BackboneFileError,
    BackboneMismatchError,
    BackboneShape,
    MissingDenoiserError,
    ReconstructionBackbone,
    backbone_names,
    build_backbone,
    load_backbone,
    sample_latents,
    save_backbone,
)

# Tensors that a training step leaves alone. The attention to the null text: over one token it is constant, and what it
# attends to is zero.
WITHOUT_GRADIENT = {
    "stable-diffusion": r"denoiser\..*transformer_blocks\.\d+\.(attn2\.(to_[qkv]|to_out\.0)\.weight|norm2\..*)"
}


def outputs(backbone: ReconstructionBackbone, frames: Tensor) -> dict[str, Tensor]:
    """What each part makes of the frames."""
    latents = backbone.encode(frames)
    found = {"latents": latents, "images": backbone.decode(latents)}
    if backbone.denoiser is not None:
        found["prediction"] = backbone.predict(latents, torch.tensor([3, 700]), latents)
    return found


def training_losses(backbone: ReconstructionBackbone, frames: Tensor) -> Tensor:
    """The sum of what the parts are trained with."""
    images, regularization = backbone.reconstruct(frames, seeds=[1, 2])
    loss = (images - frames).square().mean() + regularization
    if backbone.denoiser is None:
        return loss
    latents = backbone.encode(frames).detach()
    return loss + backbone.predict(latents, torch.tensor([3, 700]), latents).square().mean()


def leave_start(backbone: ReconstructionBackbone) -> ReconstructionBackbone:
    """Move every parameter, as training would: layers that start at zero hide those before them."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return backbone


@pytest.fixture(scope="session")
def from_new_process(
    toy_backbone_of: Callable[..., ReconstructionBackbone], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[str, dict[str, Tensor]]]:
    """By name, the fingerprint and outputs of each stored backbone, from one process that loads them all."""
    folder = tmp_path_factory.mktemp("stored")
    for name in backbone_names():
        save_backbone(with_statistics(toy_backbone_of(name)), folder / name)
    script = """
import sys, torch
from pathlib import Path
from safetensors.torch import save_file
from test_contracts import load_backbone, outputs
frames = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
for folder in Path(sys.argv[1]).iterdir():
    backbone = load_backbone(folder)
    found = {key: tensor.contiguous() for key, tensor in outputs(backbone, frames).items()}
    save_file(found, folder / "outputs", metadata={"fingerprint": backbone.fingerprint()})
"""
    run_script(script, folder, path=[Path(__file__).parent])

    def read(name: str) -> tuple[str, dict[str, Tensor]]:
        with safetensors.safe_open(folder / name / "outputs", "pt") as file:
            return file.metadata()["fingerprint"], {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118

    return read


def with_statistics(backbone: ReconstructionBackbone) -> ReconstructionBackbone:
    """Latent statistics that take all their digits to write down."""
    generator = torch.Generator().manual_seed(3)
    backbone.latent_mean.copy_(torch.randn(backbone.latent_channels, generator=generator))
    backbone.latent_deviation.copy_(torch.rand(backbone.latent_channels, generator=generator) + 0.1)
    return backbone


def test_latents_images_and_predictions_have_the_stated_shapes(
    backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    found = outputs(backbone, frames)
    latent_shape = (2, backbone.latent_channels, 64 // backbone.stride, 64 // backbone.stride)
    assert found["latents"].shape == latent_shape
    assert found["images"].shape == frames.shape
    if "prediction" in found:
        assert found["prediction"].shape == latent_shape


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_images_and_those_of_four_channels_pass(
    backbone_name: str, channels: int, toy_backbone_of: Callable[..., ReconstructionBackbone]
) -> None:
    found = outputs(toy_backbone_of(backbone_name, image_channels=channels), torch.rand(2, channels, 64, 64))
    assert found["images"].shape == (2, channels, 64, 64)
    assert found["images"].isfinite().all()


def test_an_image_is_encoded_and_decoded_by_itself(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    together, alone = outputs(backbone, frames), outputs(backbone, frames[:1].expand(2, -1, -1, -1))
    for key in ("latents", "images"):
        # Convolutions of another batch may sum in another order.
        torch.testing.assert_close(together[key][:1], alone[key][:1], rtol=1e-4, atol=1e-4)


def test_the_autoencoder_sees_values_between_minus_one_and_one(
    backbone: ReconstructionBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    to_latents = backbone.autoencoder.to_latents
    monkeypatch.setattr(backbone.autoencoder, "to_latents", lambda pixels: (seen.append(pixels), to_latents(pixels))[1])
    monkeypatch.setattr(backbone.autoencoder, "from_latents", lambda _: seen[-1])
    for brightness, expected in ((0.0, -1), (0.5, 0), (1.0, 1)):
        images = torch.full((1, 3, 64, 64), brightness)
        assert torch.equal(backbone.decode(backbone.encode(images)), images)
        assert seen[-1].unique().tolist() == [expected]


def test_measured_latents_have_mean_zero_and_deviation_one(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    backbone.measure_latents(iter([frames[:1], frames[1:]]))
    by_channel = backbone.encode(frames).movedim(1, 0).flatten(1)
    torch.testing.assert_close(by_channel.mean(1), torch.zeros(backbone.latent_channels), rtol=0, atol=1e-3)
    torch.testing.assert_close(by_channel.std(1, correction=0), torch.ones(backbone.latent_channels), rtol=0, atol=1e-3)
    latents = torch.randn(1, backbone.latent_channels, 4, 4)
    torch.testing.assert_close(backbone.standardize(backbone.unstandardize(latents)), latents, rtol=1e-3, atol=1e-3)


def test_hook_points_are_unique_modules_of_every_group_whose_output_is_as_stated(
    backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    points = backbone.hook_points()
    seen: dict[str, Tensor] = {}
    for point in points:
        backbone.get_submodule(point.name).register_forward_hook(
            lambda _module, _inputs, output, name=point.name: seen.update({name: output})
        )
    outputs(backbone, frames)
    assert len({point.name for point in points}) == len(points) == len(seen)
    for point in points:
        output = seen[point.name]
        assert output.ndim == {"map": 4, "tokens": 3}[point.layout]
        assert output.shape[1 if point.layout == "map" else 2] == point.channels
        assert point.layout == "map" or isqrt(output.shape[1]) ** 2 == output.shape[1]
    groups = HOOK_GROUPS if backbone.denoiser is not None else ("encoder", "decoder")
    assert {point.group for point in points} == set(groups)


def test_a_training_step_gives_every_tensor_a_gradient(
    backbone_name: str, backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    training_losses(leave_start(backbone).train().requires_grad_(True), frames).backward()
    untouched = {name for name, parameter in backbone.named_parameters() if not parameter.grad.abs().max() > 0}
    excepted = re.compile(WITHOUT_GRADIENT.get(backbone_name, "none"))
    assert untouched == {name for name, _ in backbone.named_parameters() if excepted.fullmatch(name)}


def test_a_training_step_is_random_by_its_seeds_alone(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    backbone.train()
    with torch.no_grad():
        torch.manual_seed(1)
        first = training_losses(backbone, frames)
        torch.manual_seed(2)
        assert torch.equal(training_losses(backbone, frames), first)


def test_the_last_layer_is_a_weight_of_the_autoencoder_that_images_depend_on(
    backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    backbone.requires_grad_(True)
    (gradient,) = torch.autograd.grad(backbone.decode(backbone.encode(frames)).sum(), backbone.autoencoder.last_layer())
    assert gradient.abs().max() > 0


def test_gradient_checkpointing_gives_the_same_gradients_by_computing_anew(
    backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    leave_start(backbone).train().requires_grad_(True)
    checkpointed = deepcopy(backbone)
    checkpointed.enable_gradient_checkpointing()
    calls: Counter[str] = Counter()
    for point in backbone.hook_points():
        checkpointed.get_submodule(point.name).register_forward_pre_hook(
            lambda *_, name=point.name: calls.update([name.split(".")[0]])
        )
    training_losses(backbone, frames).backward()
    with torch.no_grad():
        training_losses(checkpointed, frames)
    kept = calls.copy()
    calls.clear()
    training_losses(checkpointed, frames).backward()
    assert all(calls[part] > kept[part] for part in kept)
    for (name, parameter), other in zip(backbone.named_parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(other.grad, parameter.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_a_half_precision_copy_runs(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    for tensor in outputs(backbone.to(torch.bfloat16), frames.bfloat16()).values():
        assert tensor.dtype == torch.bfloat16
        assert tensor.isfinite().all()


def test_a_stored_backbone_gives_the_same_bits_and_fingerprint_in_a_new_process(
    backbone_name: str,
    backbone: ReconstructionBackbone,
    frames: Tensor,
    from_new_process: Callable[[str], tuple[str, dict[str, Tensor]]],
) -> None:
    fingerprint, found = from_new_process(backbone_name)
    assert fingerprint == with_statistics(backbone).fingerprint()
    expected = outputs(backbone, frames)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())


def test_a_stored_backbone_that_lacks_a_tensor_is_refused(backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    save_backbone(backbone, tmp_path / "stored")
    for weights in sorted((tmp_path / "stored").glob("*/diffusion_pytorch_model.safetensors")):
        tensors = safetensors.torch.load_file(weights)
        name = min(tensors)
        safetensors.torch.save_file({key: tensor for key, tensor in tensors.items() if key != name}, weights)
        with pytest.raises(BackboneFileError, match=re.escape(name)) as caught:
            load_backbone(tmp_path / "stored")
        assert str(weights) in str(caught.value)
        safetensors.torch.save_file(tensors, weights)


def test_the_fingerprint_sees_one_bit_and_not_the_memory_format(backbone: ReconstructionBackbone) -> None:
    before = backbone.fingerprint()
    assert backbone.to(memory_format=torch.channels_last).fingerprint() == before
    for tensor in (backbone.latent_mean, next(backbone.parameters())):
        tensor[(0,) * tensor.ndim] += 1e-6
        assert backbone.fingerprint() != before
        before = backbone.fingerprint()


def test_without_a_denoiser_sampling_is_refused(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    latents = backbone.encode(frames)
    with pytest.raises(MissingDenoiserError, match="'fast'"):
        sample_latents(backbone.without_denoiser(), latents, steps=1, seeds=[1, 2])


def test_the_denoiser_takes_any_multiple_of_the_sampling_stride(diffusion_backbone: ReconstructionBackbone) -> None:
    assert diffusion_backbone.sampling_stride % diffusion_backbone.stride == 0
    side = 64 + diffusion_backbone.sampling_stride
    found = outputs(diffusion_backbone, torch.rand(2, 3, side, side))
    assert found["images"].shape == (2, 3, side, side)
    assert found["prediction"].shape == found["latents"].shape


def test_a_denoiser_can_start_at_zero(diffusion_backbone: ReconstructionBackbone, frames: Tensor) -> None:
    assert outputs(diffusion_backbone, frames)["prediction"].abs().max() > 0
    diffusion_backbone.denoiser.start_at_zero()
    assert outputs(diffusion_backbone, frames)["prediction"].abs().max() == 0


def test_a_sampled_row_depends_on_its_own_seed_and_condition(
    diffusion_backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    condition = diffusion_backbone.encode(frames)
    together = sample_latents(diffusion_backbone, condition, steps=2, seeds=[5, 6], start=0.5)
    assert torch.equal(together, sample_latents(diffusion_backbone, condition, steps=2, seeds=[5, 6], start=0.5))
    alone = sample_latents(diffusion_backbone, condition[1:], steps=2, seeds=[6], start=0.5)
    torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-4)
    other = sample_latents(diffusion_backbone, condition, steps=2, seeds=[7, 6], start=0.5)
    assert not torch.allclose(together[:1], other[:1], atol=1e-2)


def test_a_denoiser_joins_an_autoencoder_of_its_own_shape_only(
    diffusion_backbone: ReconstructionBackbone, toy_shape: BackboneShape, frames: Tensor
) -> None:
    trained = with_statistics(deepcopy(diffusion_backbone)).without_denoiser()
    joined = diffusion_backbone.with_autoencoder_of(trained)
    assert torch.equal(joined.encode(frames), trained.encode(frames))
    assert joined.denoiser is diffusion_backbone.denoiser
    toy_shape.autoencoder.latent_channels = 5
    with pytest.raises(BackboneMismatchError, match="latent channels is 5"):
        diffusion_backbone.with_autoencoder_of(build_backbone(toy_shape))


def test_the_documentation_shows_which_contracts_each_backbone_is_under(with_denoiser: list[str]) -> None:
    """After a change, put the table that this test prints into docs/backbones.md."""
    names = backbone_names()
    lines = [f"| contract | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for test_name, test in globals().items():
        needed = inspect.signature(test).parameters if test_name.startswith("test_") else {}
        under = with_denoiser if "diffusion_backbone" in needed else names if needed.keys() & EVERY_BACKBONE else []
        if under:
            sentence = test_name.removeprefix("test_").replace("_", " ")
            lines.append(f"| {sentence} | {' | '.join('yes' if name in under else '–' for name in names)} |")
    documentation = Path(__file__).parents[2] / "docs" / "backbones.md"
    table = "\n".join(lines)
    assert table in documentation.read_text(encoding="utf-8"), f"{documentation} lacks this table:\n{table}"


EVERY_BACKBONE = {"backbone", "backbone_name"}
