"""Latents encoded once: what is stored, when it is reused, and that nothing half-made is ever taken for whole."""

import pickle
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from retina_adapt.adaptors import AdaptorSettings, adaptors_bypassed, attach_adaptor
from retina_adapt.data import (
    DegradedCrop,
    Draw,
    LatentCache,
    LatentCacheError,
    PreparedPhotographs,
    RandomCrop,
    TrainingBatchSampler,
    UnpairedImages,
    WholeFrame,
)
from retina_adapt.data import latent_cache as module
from retina_adapt.data.draws import seed_of
from retina_adapt.degradations import registry

CROP = RandomCrop(16, degradation_probability=0.5, presets=("low_light", "low_contrast"))


class CountingEncoder:
    """Means of 4 x 4 pixels; counts the images that it encodes, and may stop at one of them."""

    def __init__(self) -> None:
        self.images = 0
        self.stop_at: int | None = None

    def __call__(self, images: Tensor) -> Tensor:
        self.images += len(images)
        if self.stop_at is not None and self.images >= self.stop_at:
            raise KeyboardInterrupt
        return nn.functional.avg_pool2d(images, 4)


@pytest.fixture
def encode() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def images(fundus_rows) -> UnpairedImages:
    return UnpairedImages(PreparedPhotographs(fundus_rows, 48), CROP)


@pytest.fixture
def small_files(monkeypatch) -> None:
    """Four latents a file."""
    monkeypatch.setattr(module, "_LATENTS_A_FILE", 4)


def cached(images, encode, **changes) -> LatentCache:
    return LatentCache(images, encode, **({"variants": 3, "seed": 1, "key": "backbone", "batch_size": 2} | changes))


def all_latents(cache: LatentCache) -> list[Tensor]:
    """Every photograph under twenty seeds: all variants, but for a chance of 0.02."""
    return [cache[Draw(index, seed)]["latent"] for index in range(len(cache)) for seed in range(20)]


def latents_of_an_undisturbed_run(images, encode) -> list[Tensor]:
    cache = cached(images, encode)
    latents = all_latents(cache)
    shutil.rmtree(cache.folder)
    return latents


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("workers", [0, 2])
def test_an_item_is_the_latent_of_one_of_the_photographs_variants(images, encode, workers):
    cache = cached(images, encode, workers=workers)
    assert len(cache) == 6
    for index in range(6):
        variants = [encode(images[Draw(index, seed_of(1, index, variant))]["image"][None])[0] for variant in range(3)]
        seen = set()
        for seed in range(40):
            item = cache[Draw(index, seed)]
            assert set(item) == {"latent", "index", "seed"}
            assert (int(item["index"]), int(item["seed"])) == (index, seed)
            assert item["latent"].dtype == torch.float32
            (match,) = [number for number, latent in enumerate(variants) if torch.equal(latent, item["latent"])]
            seen.add(match)
        assert seen == {0, 1, 2}


def test_equal_draws_give_equal_items(images, encode):
    cache = cached(images, encode)
    for seed in range(10):
        assert torch.equal(cache[Draw(2, seed)]["latent"], cache[Draw(2, seed)]["latent"])


@pytest.mark.usefixtures("small_files")
def test_training_batches_come_out_of_worker_processes_as_without(images, encode):
    cache = cached(images, encode)
    sampler = TrainingBatchSampler(len(cache), 4, steps=5, seed=0)
    for alone, worked in zip(
        DataLoader(cache, batch_sampler=sampler),
        DataLoader(cache, batch_sampler=sampler, num_workers=2),
        strict=True,
    ):
        assert alone["latent"].shape == (4, 3, 4, 4)
        assert all(torch.equal(alone[key], worked[key]) for key in alone)


def test_a_cache_can_be_sent_to_another_process(images, encode):
    cache = cached(images, encode)
    copy = pickle.loads(pickle.dumps(cache))
    assert torch.equal(copy[Draw(1, 2)]["latent"], cache[Draw(1, 2)]["latent"])


def test_every_variant_is_encoded_once_for_all_runs(images, encode):
    first = cached(images, encode)
    assert encode.images == 18
    again = cached(images, encode)
    assert encode.images == 18
    assert all(map(torch.equal, all_latents(first), all_latents(again)))


@pytest.mark.parametrize("changes", [{"key": "other"}, {"seed": 2}, {"variants": 2}])
def test_other_arguments_are_another_cache(images, encode, changes):
    first = cached(images, encode)
    other = cached(images, encode, **changes)
    assert encode.images == 18 + 6 * other.variants
    assert first.folder != other.folder


@pytest.mark.parametrize(
    "transform",
    [
        replace(CROP, crop_size=20),
        replace(CROP, flips=None),
        replace(CROP, presets=("low_light",)),
        replace(CROP, degradation_probability=0.25),
        DegradedCrop(CROP),
        WholeFrame(16),
    ],
)
def test_another_transform_is_another_cache(images, encode, transform):
    first = cached(images, encode)
    other = cached(UnpairedImages(images.prepared, transform), encode)
    assert encode.images >= 36
    assert first.folder != other.folder


@pytest.mark.parametrize("transform", [CROP, DegradedCrop(CROP)])
def test_a_preset_of_other_steps_is_another_cache(images, encode, transform, monkeypatch):
    images = UnpairedImages(images.prepared, transform)
    first = cached(images, encode)
    # As where its author has changed it since.
    monkeypatch.setitem(registry._PRESETS, CROP.presets[0], registry.find_preset("haze"))
    assert cached(images, encode).folder != first.folder


@pytest.mark.parametrize("transform", [CROP, DegradedCrop(CROP)])
def test_a_degradation_that_does_something_else_is_another_cache(images, encode, transform, monkeypatch):
    images = UnpairedImages(images.prepared, transform)
    first = cached(images, encode)
    other = replace(registry.find_degradation("low_light"), apply=lambda pixels, mask, parameters: pixels * 0.5)
    monkeypatch.setitem(registry._DEGRADATIONS, "low_light", other)
    assert cached(images, encode).folder != first.folder


def test_other_photographs_or_sizes_are_another_cache(images, encode, fundus_rows):
    folders = {
        cached(UnpairedImages(PreparedPhotographs(rows, size), CROP), encode).folder
        for rows, size in ((fundus_rows, 48), (fundus_rows, 40), (fundus_rows.select(range(5)), 48))
    }
    assert len(folders) == 3


def test_the_batch_size_and_the_workers_are_not_part_of_the_identity(images, encode):
    cached(images, encode)
    cached(images, encode, batch_size=5, workers=1)
    assert encode.images == 18


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("stop_at", [1, 4, 7, 18])
def test_an_interrupted_run_is_never_taken_for_whole_and_the_next_one_goes_on(images, encode, stop_at):
    whole = latents_of_an_undisturbed_run(images, encode)
    encode.images, encode.stop_at = 0, stop_at
    with pytest.raises(KeyboardInterrupt):
        cached(images, encode)
    encode.images, encode.stop_at = 0, None
    resumed = cached(images, encode)
    # Files hold four, batches two: the last batch of a file completes it.
    assert encode.images == 18 - 4 * ((stop_at - 1) // 4)
    assert all(map(torch.equal, all_latents(resumed), whole))


@pytest.mark.usefixtures("small_files")
def test_a_process_killed_while_it_writes_leaves_no_file_that_counts(images, encode, monkeypatch):
    whole = latents_of_an_undisturbed_run(images, encode)
    save = module.save_file

    def torn(tensors, path):
        save(tensors, path)
        path.write_bytes(path.read_bytes()[:-10])
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_file", torn)
    with pytest.raises(KeyboardInterrupt):
        cached(images, encode)
    monkeypatch.setattr(module, "save_file", save)
    assert all(map(torch.equal, all_latents(cached(images, encode)), whole))


def test_a_full_disk_is_an_error_that_names_the_file(images, encode, monkeypatch):
    def full(tensors, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(LatentCacheError, match=r"000000000\.safetensors: .*No space left.*HF_DATASETS_CACHE"):
        cached(images, encode)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("damage", ["truncated", "deleted"])
def test_a_damaged_file_is_an_error_that_tells_the_remedy_and_the_remedy_helps(images, encode, damage):
    cache = cached(images, encode)
    before = all_latents(cache)
    path = sorted(cache.folder.iterdir())[1]
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[:-8])
    with pytest.raises(LatentCacheError, match=rf"{path.name}: .*delete it"):
        all_latents(cache)
    path.unlink(missing_ok=True)
    encode.images = 0
    assert all(map(torch.equal, all_latents(cached(images, encode)), before))
    assert encode.images == 4


def test_the_cache_lies_beside_the_prepared_photographs(images, encode):
    assert cached(images, encode).folder.parent == images.prepared.cache_file.parent


def test_degraded_crops_give_the_condition_beside_the_latent(images, encode):
    pairs = UnpairedImages(images.prepared, DegradedCrop(CROP))
    cache = cached(pairs, encode, variants=1)
    assert encode.images == 12
    degraded = 0
    for index in range(6):
        pair, item = pairs[Draw(index, seed_of(1, index, 0))], cache[Draw(index, 9)]
        assert set(item) == {"latent", "condition", "index", "seed"}
        assert torch.equal(item["latent"], encode(pair["image"][None])[0])
        assert torch.equal(item["condition"], encode(pair["degraded"][None])[0])
        degraded += not torch.equal(item["latent"], item["condition"])
    assert 0 < degraded < 6


def test_a_trainable_encoder_is_refused_and_leaves_no_file(images):
    encoder = nn.Conv2d(3, 4, 4, stride=4)
    with pytest.raises(LatentCacheError, match=r"requires_grad_\(False\)"):
        cached(images, encoder)
    assert cached(images, encoder.requires_grad_(False))[Draw(0, 0)]["latent"].shape == (4, 4, 4)


def test_an_encoder_with_an_adaptor_is_refused_and_the_frozen_one_beneath_is_not(fundus_rows, toy_backbone):
    images = UnpairedImages(PreparedPhotographs(fundus_rows.select(range(1)), 48), RandomCrop(32))
    frozen = cached(images, toy_backbone.encode, key="frozen")[Draw(0, 0)]["latent"]
    settings = AdaptorSettings(kind="residual", hook_groups=["encoder"], bottleneck_channels=4)
    attach_adaptor(toy_backbone, settings.to_peft_config(), "trained")
    with pytest.raises(LatentCacheError, match="will not stay as they are"):
        cached(images, toy_backbone.encode, key="adapted")

    def encode_frozen(batch: Tensor) -> Tensor:
        with torch.no_grad(), adaptors_bypassed(toy_backbone):
            return toy_backbone.encode(batch)

    assert torch.equal(cached(images, encode_frozen, key="bypassed")[Draw(0, 0)]["latent"], frozen)


def test_latents_of_lower_precision_are_stored_as_float32(images):
    cache = cached(images, lambda images: nn.functional.avg_pool2d(images, 4).bfloat16())
    assert cache[Draw(0, 0)]["latent"].dtype == torch.float32


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_latent_that_is_not_finite_is_an_error_that_names_the_photograph(images, encode, value):
    def overflowing(batch: Tensor) -> Tensor:
        latents = encode(batch)
        if encode.images > 9:  # the tenth image: variant 0 of photograph 3
            latents[(9 - encode.images) % len(latents), 0, 0, 0] = value
        return latents

    with pytest.raises(LatentCacheError, match=r"eye_3\.png: .*float16"):
        cached(images, overflowing, batch_size=1)


@dataclass
class Changeable:
    """A transform whose settings may change after the cache was keyed by them."""

    crop_size: int = 16


@pytest.mark.parametrize("transform", [lambda photograph, draw: None, Changeable()])
def test_a_transform_without_identity_is_refused(images, encode, transform):
    with pytest.raises(LatentCacheError, match="frozen dataclass"):
        cached(UnpairedImages(images.prepared, transform), encode)


@pytest.mark.parametrize(("changes", "reason"), [({"variants": 0}, "variants"), ({"key": ""}, "key is empty")])
def test_arguments_that_make_no_cache_are_errors(images, encode, changes, reason):
    with pytest.raises(LatentCacheError, match=reason):
        cached(images, encode, **changes)


@pytest.mark.parametrize("index", [-1, 6])
def test_an_index_out_of_range_is_never_another_photograph(images, encode, index):
    with pytest.raises(IndexError, match="among 6"):
        cached(images, encode)[Draw(index, 0)]


@pytest.mark.parametrize("workers", [0, 1])
def test_encoding_leaves_the_global_generators_alone(images, encode, workers):
    torch.manual_seed(0)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the global one
    cached(images, encode, workers=workers)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


@pytest.mark.corpus
def test_photographs_of_the_corpus_are_cached_with_a_real_backbones_encoder(corpus, toy_backbone):
    from retina_adapt.data import load_images

    prepared = PreparedPhotographs(load_images(corpus / "csdi", split="validation", limit=3), 96)
    cache = LatentCache(
        UnpairedImages(prepared, RandomCrop(64)), toy_backbone.encode, variants=2, seed=0, key="toy", batch_size=3
    )
    assert cache[Draw(2, 0)]["latent"].shape == (4, 16, 16)
