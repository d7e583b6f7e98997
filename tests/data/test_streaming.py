"""Training from a stream: every photograph once an epoch, draws that depend on the photograph, exact resuming."""

import io
import tarfile
import threading
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from retina_adapt.data import (
    DataSourceError,
    DegradePair,
    Draw,
    Flips,
    LatentCache,
    LatentCacheError,
    MirrorPair,
    PairSource,
    PhotographSource,
    PreparationError,
    RandomCrop,
    StreamedImages,
    WholeFrame,
    load_images,
    open_pairs,
    open_training_images,
    open_training_pairs,
    paired_columns,
    training_batches,
)
from retina_adapt.imaging.synthetic_fundus import draw_fundus

# Uneven, so that two ranks of two workers get different numbers of shards and of photographs.
PHOTOGRAPHS_A_SHARD = (4, 1, 3, 2, 2)
PHOTOGRAPHS = sum(PHOTOGRAPHS_A_SHARD)


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photographs() -> list[bytes]:
    return [encoded(draw_fundus(seed, 64)[0]) for seed in range(PHOTOGRAPHS)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory, photographs) -> Path:
    """The photographs as `*.parquet` with columns high and low, and as `*.tar`."""
    folder = tmp_path_factory.mktemp("shards")
    remaining = list(enumerate(photographs))
    for shard, length in enumerate(PHOTOGRAPHS_A_SHARD):
        rows, remaining = remaining[:length], remaining[length:]
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for number, photograph in rows:
                member = tarfile.TarInfo(f"{number:03d}.png")
                member.size = len(photograph)
                tar.addfile(member, io.BytesIO(photograph))
        columns = {
            "image": [{"bytes": photograph, "path": f"{number}.png"} for number, photograph in rows],
            "low": [{"bytes": photographs[number - 1], "path": f"{number}_low.png"} for number, _ in rows],
        }
        features = datasets.Features({name: datasets.Image(decode=False) for name in columns})
        datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / f"{shard}.parquet")
    return folder


def streamed(shards: Path, transform, *, kind: str = "parquet", **options) -> StreamedImages:
    return StreamedImages([load_images(str(shards / f"*.{kind}"), streaming=True)], 48, transform, **options)


def identities(items) -> list[int]:
    return [int(item["index"]) for item in items]


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_two_ranks_of_two_workers_get_every_photograph_once_an_epoch(shards, kind):
    images = streamed(shards, RandomCrop(32), kind=kind)
    shares = [
        list(DataLoader(images.share(seed=3, rank=rank, world_size=2, epochs=1), batch_size=None, num_workers=2))
        for rank in range(2)
    ]
    alone = list(images.share(seed=3, epochs=1))
    assert len(set(identities(alone))) == PHOTOGRAPHS
    assert sorted(identities(shares[0] + shares[1])) == sorted(identities(alone))
    assert all(shares)
    # What is drawn for a photograph does not depend on who gets it.
    by_identity = {int(item["index"]): item for item in alone}
    for item in shares[0] + shares[1]:
        assert torch.equal(item["image"], by_identity[int(item["index"])]["image"])


@pytest.mark.parametrize("consumers", [3, 7])
def test_any_number_of_consumers_shares_an_epoch_without_overlap_or_loss(shards, consumers):
    images = streamed(shards, WholeFrame(8))
    names = Counter(
        row["image"]["path"] for consumer in range(consumers) for row in images.rows(0, 1, consumer, consumers)
    )
    assert names == Counter(f"{number}.png" for number in range(PHOTOGRAPHS))


def test_an_epoch_repeats_exactly_and_the_next_one_has_another_order_and_other_draws(shards):
    images = streamed(shards, RandomCrop(32))
    twice = [list(images.share(seed=3, epochs=2)) for _ in range(2)]
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(*twice, strict=True))
    first, second = twice[0][:PHOTOGRAPHS], twice[0][PHOTOGRAPHS:]
    assert sorted(identities(first)) == sorted(identities(second))
    assert identities(first) != identities(second)
    assert not {int(item["seed"]) for item in first} & {int(item["seed"]) for item in second}
    assert identities(first) != identities(images.share(seed=4, epochs=1))


@pytest.mark.parametrize(("workers", "first"), [(0, 5), (2, 3)])
def test_a_resumed_run_sees_the_batches_that_it_would_have_seen(shards, workers, first):
    images = streamed(shards, DegradePair("light"))
    options = {"steps": 6, "seed": 1, "rank": 1, "world_size": 2, "workers": workers}
    whole = list(training_batches(images, 2, **options))
    resumed = list(training_batches(images, 2, first_step=first, **options))
    assert len(whole) == 6
    for expected, found in zip(whole[first:], resumed, strict=True):
        assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_a_broken_photograph_is_replaced_by_the_next_and_resuming_stays_exact(photographs, caplog):
    rows = {"image": [{"bytes": photograph, "path": f"{n}.png"} for n, photograph in enumerate(photographs)]}
    for number in (2, 3, 7):
        rows["image"][number] = {"bytes": b"torn", "path": f"torn_{number}.png"}
    features = datasets.Features({"image": datasets.Image(decode=False)})
    stream = datasets.Dataset.from_dict(rows, features=features).to_iterable_dataset()
    images = StreamedImages([stream], 48, RandomCrop(32), largest_broken_share=0.1)
    items = list(training_batches(images, 1, steps=PHOTOGRAPHS + 3, seed=0))
    assert len(set(identities(items))) == PHOTOGRAPHS - 3
    assert "torn_2.png" in caplog.text
    for first in range(1, PHOTOGRAPHS):
        resumed = next(training_batches(images, 1, steps=PHOTOGRAPHS, seed=0, first_step=first))
        assert torch.equal(resumed["image"], items[first]["image"])
    with pytest.raises(PreparationError, match=r"largest_broken_share \(now 0\.02.*\n.*torn_"):
        list(StreamedImages([stream], 48, RandomCrop(32), largest_broken_share=0.02).share(seed=0, epochs=1))


def test_no_more_than_a_buffer_is_read_ahead(photographs):
    read = []

    def rows():
        for number in range(5000):
            read.append(number)
            yield {"image": {"bytes": photographs[number % PHOTOGRAPHS], "path": None}}

    features = datasets.Features({"image": datasets.Image(decode=False)})
    images = StreamedImages([datasets.IterableDataset.from_generator(rows, features=features)], 48, WholeFrame(8))
    assert not read
    next(iter(images.share(seed=0)))
    assert 0 < len(read) < 600


def test_streamed_real_pairs_are_those_read_by_position(shards):
    source = PairSource(rows=PhotographSource(str(shards / "*.parquet"), streaming=True), high_column="image")
    images = open_training_pairs(source, 48, flips=Flips())
    assert isinstance(images.transform, MirrorPair)
    by_position = paired_columns(load_images(str(shards / "*.parquet")), "low", "image", 48, flips=Flips())
    items = list(images.share(seed=0, epochs=1))
    assert len(items) == PHOTOGRAPHS
    for item in items:
        same = [by_position[Draw(index, int(item["seed"]))] for index in range(PHOTOGRAPHS)]
        gaps = [max(float((item[key] - other[key]).abs().max()) for key in ("low", "high")) for other in same]
        assert min(gaps) < 0.6 / 255  # prepared photographs are rounded to the file's 8 bits


def test_sources_of_several_kinds_stream_together_and_become_pairs(shards):
    sources = [PhotographSource(str(shards / pattern), streaming=True) for pattern in ("[01].parquet", "[234].tar")]
    pairs = open_training_pairs(PairSource(clear=sources, degradation="light"), 48)
    threads = threading.active_count()
    items = []
    for item in pairs.share(seed=0, epochs=1):
        items.append(item)
        # Threads that read ahead would be forked into a DataLoader's workers, and wait there for ever.
        assert threading.active_count() == threads
    assert len(set(identities(items))) == PHOTOGRAPHS
    assert len(items) == PHOTOGRAPHS
    assert items[0]["low"].shape == items[0]["high"].shape == (3, 48, 48)
    assert not torch.equal(items[0]["low"], items[0]["high"])


def test_what_a_stream_cannot_do_is_an_error_that_says_so(shards):
    source = PhotographSource(str(shards / "*.tar"), streaming=True)
    with pytest.raises(DataSourceError, match="positions; set streaming to false"):
        open_pairs(PairSource(clear=[source], degradation="light"), 48)
    with pytest.raises(DataSourceError, match="limit needs to see all rows"):
        open_training_images([PhotographSource(source.path, limit=2, streaming=True)], 48, WholeFrame(8))
    with pytest.raises(DataSourceError, match="give all of them the same"):
        open_training_images([source, PhotographSource(source.path)], 48, WholeFrame(8))
    images = open_training_images([source], 48, RandomCrop(32))
    with pytest.raises(LatentCacheError, match="streamed photographs have no positions"):
        LatentCache(images, lambda batch: batch, variants=1, seed=0, key="backbone")
    with pytest.raises(DataSourceError, match="use fewer workers"):
        next(iter(images.share(seed=0, rank=20, world_size=30)))


def stream_of(*encoded_photographs: bytes) -> datasets.IterableDataset:
    rows = {"image": [{"bytes": data, "path": f"{n}.png"} for n, data in enumerate(encoded_photographs)]}
    features = datasets.Features({"image": datasets.Image(decode=False)})
    return datasets.Dataset.from_dict(rows, features=features).to_iterable_dataset()


def test_grey_and_color_photographs_in_one_stream_are_an_error_that_names_one(photographs):
    grey = encoded(draw_fundus(3, 64)[0][:, :, 1])
    share = StreamedImages([stream_of(*photographs[:3], grey)], 48, RandomCrop(32)).share(seed=0, epochs=1)
    with pytest.raises(PreparationError, match=r"\d\.png: number of channels"):
        list(share)


def test_a_stream_of_broken_photographs_alone_ends(photographs):
    images = StreamedImages([stream_of(b"torn", b"torn too")], 48, RandomCrop(32), largest_broken_share=1.0)
    with pytest.raises(PreparationError, match="none of 2 streamed photographs can be prepared"):
        next(iter(images.share(seed=0)))


@pytest.mark.parametrize("share", [-0.1, 5.0])
def test_a_share_of_broken_photographs_lies_between_none_and_all(photographs, share):
    with pytest.raises(PreparationError, match=r"must lie in \[0, 1\]"):
        StreamedImages([stream_of(*photographs)], 48, RandomCrop(32), largest_broken_share=share)
