"""Parts of one's own: what is built can be stored and read again, or is refused before it is trained."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from retina_adapt.backbones import (
    BackboneBuilderError,
    BackboneFileError,
    BackboneSettings,
    BackboneShape,
    HookPoint,
    KLAutoencoder,
    LatentAutoencoder,
    LatentShapeError,
    ReconstructionBackbone,
    UnregisteredPartError,
    build_backbone,
    load_backbone,
    register_backbone,
    register_part,
    save_backbone,
)

pytestmark = pytest.mark.usefixtures("forgotten_afterwards")


class TinyAutoencoder(LatentAutoencoder, AutoencoderTiny):
    """diffusers', which notes in its configuration what is no option of it."""

    stride, latent_channels = 2, 4

    def to_latents(self, centered: Tensor) -> Tensor:
        return self.encode(centered).latents

    def from_latents(self, latents: Tensor) -> Tensor:
        return self.decode(latents).sample

    def hook_points(self) -> list[HookPoint]:
        return [HookPoint("encoder.layers.1", "encoder", 16)]

    def last_layer(self) -> nn.Parameter:
        return self.decoder.layers[-1].weight


def tiny_autoencoder() -> TinyAutoencoder:
    channels, blocks = (16, 16), (1, 1)
    return TinyAutoencoder(
        encoder_block_out_channels=channels,
        decoder_block_out_channels=channels,
        num_encoder_blocks=blocks,
        num_decoder_blocks=blocks,
    )


def put_together(autoencoder: LatentAutoencoder) -> ReconstructionBackbone:
    return ReconstructionBackbone(autoencoder, None, None, BackboneSettings(image_size=64)).eval()


def test_a_class_that_notes_more_than_its_options_is_read_again(frames: Tensor, tmp_path: Path) -> None:
    register_part(TinyAutoencoder)
    backbone = put_together(tiny_autoencoder())
    save_backbone(backbone, tmp_path / "tiny")
    config_file = tmp_path / "tiny" / "autoencoder" / "config.json"
    written = json.loads(config_file.read_text())
    assert written["block_out_channels"] == [16, 16]
    loaded = load_backbone(tmp_path / "tiny")
    assert loaded.fingerprint() == backbone.fingerprint()
    with torch.no_grad():
        assert torch.equal(loaded.encode(frames), backbone.encode(frames))
    # What the class notes by itself is no option: a file cannot set it, and nothing else passes beside it.
    for forged in ({"block_out_channels": [16, 32]}, {"depth": 3}):
        config_file.write_text(json.dumps(written | forged))
        with pytest.raises(BackboneFileError, match=f"TinyAutoencoder .* has no option {next(iter(forged))}; remove"):
            load_backbone(tmp_path / "tiny")


def test_a_class_that_nobody_registered_is_refused_before_it_is_trained(
    toy_shape: BackboneShape, toy_backbone_folder: Path
) -> None:
    class ForgottenAutoencoder(TinyAutoencoder):
        pass

    register_backbone("forgotten")(lambda _: put_together(ForgottenAutoencoder()))
    with pytest.raises(UnregisteredPartError, match=r"ForgottenAutoencoder .*write @register_part above it"):
        build_backbone(replace(toy_shape, name="forgotten"))
    before = load_backbone(toy_backbone_folder).fingerprint()
    with pytest.raises(UnregisteredPartError, match="ForgottenAutoencoder"):
        save_backbone(put_together(ForgottenAutoencoder()), toy_backbone_folder)
    assert load_backbone(toy_backbone_folder).fingerprint() == before


def test_a_class_of_a_registered_name_is_not_taken_for_the_registered_one(toy_backbone_folder: Path) -> None:
    backbone = load_backbone(toy_backbone_folder)
    backbone.autoencoder.__class__ = type("KLAutoencoder", (KLAutoencoder,), {})
    with pytest.raises(UnregisteredPartError, match="KLAutoencoder"):
        save_backbone(backbone, toy_backbone_folder)


def test_a_denoiser_is_no_autoencoder(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    toy_backbone.denoiser = toy_backbone.autoencoder
    with pytest.raises(UnregisteredPartError, match="derive the class from LatentDenoiser"):
        save_backbone(toy_backbone, tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


def test_a_builder_that_returns_no_backbone_is_named(toy_shape: BackboneShape) -> None:
    register_backbone("without-return")(lambda _: None)
    with pytest.raises(BackboneBuilderError, match=r"'without-return': its builder returned NoneType.*must return"):
        build_backbone(replace(toy_shape, name="without-return"))


@pytest.mark.parametrize(
    ("stated", "images"), [({"stride": 1}, 64), ({"stride": 4}, 64), ({"stride": 1}, 66), ({"latent_channels": 1}, 64)]
)
def test_latents_of_another_shape_than_stated_are_refused(stated: dict[str, int], images: int) -> None:
    autoencoder = tiny_autoencoder()
    for name, value in stated.items():
        setattr(autoencoder, name, value)
    backbone = put_together(autoencoder)
    batch = torch.rand(1, 3, images, images)
    runs: list[Callable[[], object]] = [lambda: backbone.encode(batch), lambda: backbone.measure_latents([batch])]
    for run in runs:
        with pytest.raises(
            LatentShapeError, match=rf"TinyAutoencoder: made latents \(1, 4, {images // 2}, .*correct these"
        ):
            run()
