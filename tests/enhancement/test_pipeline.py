"""The diffusers pipeline does what the enhancer does, and its folder holds all of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, EulerDiscreteScheduler, LMSDiscreteScheduler
from PIL import Image

import retina_adapt
from retina_adapt import EnhancementSettings, Enhancer, RetinaEnhancementPipeline
from retina_adapt.backbones import save_backbone
from retina_adapt.backbones.schedulers import UnknownSchedulerError
from retina_adapt.enhancement import EnhancementInputError
from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray((draw_fundus(3, 100)[0] * 255).astype(np.uint8))


def test_it_is_a_diffusion_pipeline_and_gives_what_the_enhancer_gives(
    toy_enhancer: Enhancer, picture: Image.Image
) -> None:
    pipeline = RetinaEnhancementPipeline(toy_enhancer)
    assert isinstance(pipeline, DiffusionPipeline)
    expected = toy_enhancer(picture, mode="diffusion", steps=2, seed=5)
    options = {"num_inference_steps": 2, "generator": torch.Generator().manual_seed(5)}
    assert pipeline(picture, **options).images == [expected]
    assert pipeline(picture, num_inference_steps=None).images == [toy_enhancer(picture)]
    (both,) = pipeline([picture, picture], return_dict=False, **options)
    assert len(both) == 2
    for one in both:
        assert np.asarray(one).astype(int) == pytest.approx(np.asarray(expected).astype(int), abs=1)
    frame = torch.from_numpy(np.asarray(picture)).permute(2, 0, 1)
    (first, second) = pipeline(torch.stack([frame, frame]), num_inference_steps=None).images
    assert torch.equal(first, second)
    assert first.shape == frame.shape


def test_a_scheduler_is_exchanged_as_in_other_pipelines(toy_enhancer: Enhancer, picture: Image.Image) -> None:
    expected = toy_enhancer(picture, mode="diffusion", steps=3, scheduler="EulerDiscreteScheduler")
    pipeline = RetinaEnhancementPipeline(toy_enhancer)
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    (found,) = pipeline(picture, num_inference_steps=3).images
    assert np.asarray(found).astype(int) == pytest.approx(np.asarray(expected).astype(int), abs=2)


def test_a_scheduler_that_cannot_be_used_is_refused_also_when_it_is_exchanged(
    toy_enhancer: Enhancer, picture: Image.Image, tmp_path: Path
) -> None:
    pipeline = RetinaEnhancementPipeline(toy_enhancer)
    pipeline.scheduler = LMSDiscreteScheduler.from_config(pipeline.scheduler.config)
    with pytest.raises(UnknownSchedulerError, match="LMSDiscreteScheduler is not supported"):
        pipeline(picture, num_inference_steps=3)
    with pytest.raises(UnknownSchedulerError, match="LMSDiscreteScheduler is not supported"):
        pipeline.save_pretrained(tmp_path)


def test_the_seed_of_any_generator_will_do(toy_enhancer: Enhancer, picture: Image.Image) -> None:
    pipeline = RetinaEnhancementPipeline(toy_enhancer)
    seeded = [torch.Generator().manual_seed(seed) for seed in (-1, 2**63 + 1, 1)]
    results = [pipeline(picture, num_inference_steps=1, generator=generator).images[0] for generator in seeded]
    assert results[0] != results[1] == results[2]


def test_a_pipeline_in_half_precision_is_refused_with_what_to_set_instead(
    toy_enhancer: Enhancer, picture: Image.Image
) -> None:
    pipeline = RetinaEnhancementPipeline(toy_enhancer).to("cpu", torch.bfloat16)
    assert (pipeline.device, pipeline.dtype) == (torch.device("cpu"), torch.bfloat16)
    with pytest.raises(EnhancementInputError, match=r"is in bfloat16.*set precision to bfloat16"):
        pipeline(picture)
    assert pipeline.to(torch.float32)(picture, precision="bfloat16").images


def test_saved_and_loaded_it_gives_the_same_bits_with_the_same_adaptors(
    toy_enhancer: Enhancer, picture: Image.Image, tmp_path: Path
) -> None:
    expected = toy_enhancer(picture)
    RetinaEnhancementPipeline(toy_enhancer).save_pretrained(tmp_path / "pipeline")
    assert toy_enhancer(picture) == expected
    loaded = RetinaEnhancementPipeline.from_pretrained(tmp_path / "pipeline")
    assert (loaded.enhancer.adaptors, loaded.enhancer.active_adaptor) == (["made"], "made")
    assert loaded(picture, num_inference_steps=None).images == [expected]
    with pytest.raises(EnhancementInputError, match="save_pretrained"):
        RetinaEnhancementPipeline.from_pretrained(tmp_path)
    index = tmp_path / "pipeline" / "model_index.json"
    content = json.loads(index.read_text())
    for forged in ({"adaptors": [1]}, {"adaptors": {}}, {"active_adaptor": ["made"]}):
        index.write_text(json.dumps(content | forged))
        with pytest.raises(EnhancementInputError, match="must be names"):
            RetinaEnhancementPipeline.from_pretrained(tmp_path / "pipeline")


def test_a_pipeline_moved_aside_by_a_killed_writer_is_found(toy_enhancer: Enhancer, tmp_path: Path) -> None:
    RetinaEnhancementPipeline(toy_enhancer).save_pretrained(tmp_path / "pipeline")
    (tmp_path / "pipeline").rename(tmp_path / ".pipeline.previous")
    assert RetinaEnhancementPipeline.from_pretrained(tmp_path / "pipeline").enhancer.adaptors == ["made"]


@pytest.mark.parametrize("weights", [{"made": 0.5}, {"made": 1, "again": 1}])
def test_weights_that_would_be_lost_are_refused(
    weights: dict[str, float], toy_enhancer: Enhancer, toy_adaptor_folder: Path, tmp_path: Path
) -> None:
    toy_enhancer.load_adaptor(toy_adaptor_folder, "again")
    toy_enhancer.set_adaptor_weights(weights)
    with pytest.raises(EnhancementInputError, match=r"weights of '.*made.*' cannot be stored.*`set_adaptor`"):
        RetinaEnhancementPipeline(toy_enhancer).save_pretrained(tmp_path / "pipeline")
    assert not (tmp_path / "pipeline").exists()
    for storable in ({"made": 1}, {}):
        toy_enhancer.set_adaptor_weights(storable)
        RetinaEnhancementPipeline(toy_enhancer).save_pretrained(tmp_path / "pipeline")
        loaded = RetinaEnhancementPipeline.from_pretrained(tmp_path / "pipeline").enhancer
        assert loaded.active_passes == ([storable] if storable else [])


def test_saving_replaces_a_pipeline_and_nothing_else(toy_enhancer: Enhancer, tmp_path: Path) -> None:
    pipeline = RetinaEnhancementPipeline(toy_enhancer)
    save_backbone(Enhancer.from_pretrained().backbone, tmp_path / "backbone")
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "eye.png").touch()
    for name in ("backbone", "photographs"):
        before = sorted((tmp_path / name).rglob("*"))
        with pytest.raises(EnhancementInputError, match=f"{name}: holds something that is no RetinaEnhancement"):
            pipeline.save_pretrained(tmp_path / name)
        assert sorted((tmp_path / name).rglob("*")) == before
    (tmp_path / "pipeline").mkdir()
    pipeline.save_pretrained(tmp_path / "pipeline")
    toy_enhancer.delete_adaptor("made")
    pipeline.save_pretrained(tmp_path / "pipeline")
    assert RetinaEnhancementPipeline.from_pretrained(tmp_path / "pipeline").enhancer.adaptors == []


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_tensors_come_back_as_tensors(toy_enhancer: Enhancer, picture: Image.Image, dtype: torch.dtype) -> None:
    array = np.asarray(picture)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    tensor = tensor if dtype == torch.uint8 else (tensor / 255).to(dtype)
    enhanced = toy_enhancer(tensor)
    assert (enhanced.shape, enhanced.dtype) == (tensor.shape, dtype)
    assert not torch.equal(enhanced, tensor)
    if dtype == torch.uint8:
        assert np.array_equal(enhanced.permute(1, 2, 0).numpy(), toy_enhancer(array))


def test_several_pictures_of_any_kind_come_back_as_a_list_and_a_batch_as_a_batch(
    toy_enhancer: Enhancer, picture: Image.Image
) -> None:
    array = np.asarray(picture)
    small = picture.crop((0, 0, 100, 90))
    enhanced = toy_enhancer([picture, array, small], field_of_view="full_frame")
    assert [type(one) for one in enhanced] == [Image.Image, np.ndarray, Image.Image]
    assert enhanced[2].size == (100, 90)
    assert np.asarray(enhanced[0]).astype(int) == pytest.approx(enhanced[1].astype(int), abs=1)
    batch = torch.from_numpy(np.stack([array, array])).permute(0, 3, 1, 2)
    assert toy_enhancer(batch).shape == batch.shape


def test_a_result_tells_how_it_came_about(toy_enhancer: Enhancer, picture: Image.Image) -> None:
    settings = EnhancementSettings(detail="kept")
    result = toy_enhancer.enhance(picture, settings)
    assert isinstance(result, retina_adapt.Enhancement)
    assert result.image == toy_enhancer(picture, detail="kept")
    assert (result.adaptor, result.settings, result.tile_size) == ("made", settings, None)
    assert result.field_of_view.mask.shape == (100, 100)


def test_a_result_tells_weights_other_than_one(
    toy_enhancer: Enhancer, toy_adaptor_folder: Path, picture: Image.Image
) -> None:
    toy_enhancer.load_adaptor(toy_adaptor_folder, "again")
    for weights, expected in (
        ({"made": 1}, "made"),
        ({"made": 0.5}, "0.5 made"),
        ({"made": 1.0, "again": -0.25}, "made + -0.25 again"),
        ({}, None),
    ):
        toy_enhancer.set_adaptor_weights(weights)
        assert toy_enhancer.enhance(picture).adaptor == expected
