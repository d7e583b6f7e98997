"""Training from a stream."""

import datasets
import pytest
import torch

from retina_adapt.data import DegradePair, RandomCrop, StreamedImages, WholeFrame, load_images
from retina_adapt.imaging import ImageReadError


def streamed(folder, transform, **options) -> StreamedImages:
    return StreamedImages(load_images(folder, streaming=True), 48, transform, seed=3, **options)


def fingerprints(items) -> list[float]:
    return sorted(round(float(item["image"].double().mean()), 9) for item in items)


def test_a_stream_gives_every_photograph_once_in_the_form_of_the_transform(fundus_folder):
    items = list(streamed(fundus_folder, WholeFrame(32)))
    assert len(set(fingerprints(items))) == 6
    assert items[0]["image"].shape == (3, 32, 32)
    pairs = list(streamed(fundus_folder, DegradePair("mixed")))
    assert pairs[0]["low"].shape == pairs[0]["high"].shape == (3, 48, 48)


def test_processes_and_workers_share_the_stream_without_overlap(fundus_folder):
    alone = fingerprints(streamed(fundus_folder, WholeFrame(32)))
    shared = []
    for rank in range(2):
        stream = streamed(fundus_folder, WholeFrame(32), rank=rank, world_size=2)
        shared += list(torch.utils.data.DataLoader(stream, batch_size=None, num_workers=2))
    assert fingerprints(shared) == alone


def test_an_epoch_repeats_exactly_and_the_next_one_differs(fundus_folder):
    stream = streamed(fundus_folder, RandomCrop(32))
    first, again = list(stream), list(stream)
    stream.set_epoch(1)
    second = list(stream)
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(first, again, strict=True))
    assert [int(item["seed"]) for item in first] != [int(item["seed"]) for item in second]


def test_a_damaged_photograph_stops_the_stream_with_its_name(tmp_path):
    (tmp_path / "empty.png").touch()
    rows = datasets.Dataset.from_dict({"image": [str(tmp_path / "empty.png")]}).to_iterable_dataset()
    with pytest.raises(ImageReadError, match=r"empty\.png"):
        list(StreamedImages(rows, 32, WholeFrame(32), seed=0))
