"""Pairs with cached latents: those of the very item, flips included, each encoded once."""

import pytest
import torch
from torch import Tensor, nn

from retina_adapt.data import Draw, Flips, PairsWithLatents, RealPairs, paired_folders
from retina_adapt.imaging import Photograph, write_photograph

SIZE = 48


class CountingEncoder:
    """A convolution that knows left from right and up from down; counts what it encodes."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 2, 4, stride=4).requires_grad_(False)
        self.images = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return self.convolution(images)


@pytest.fixture
def open_real_pairs(tmp_path, fundus_drawings):
    for number, high in enumerate(fundus_drawings[:3]):
        for name, pixels in (("low", 0.5 * high), ("high", high)):
            (tmp_path / name).mkdir(exist_ok=True)
            write_photograph(Photograph(pixels=pixels), tmp_path / name / f"eye_{number}.png")

    def open_real_pairs(flips: Flips | None) -> RealPairs:
        return paired_folders(tmp_path / "low", tmp_path / "high", SIZE, flips=flips)

    return open_real_pairs


@pytest.mark.parametrize(("flips", "ways"), [(Flips(), 4), (Flips(vertical=False), 2), (None, 1)])
def test_an_item_is_the_pair_and_what_the_encoder_makes_of_it(open_real_pairs, flips, ways):
    pairs, encode = open_real_pairs(flips), CountingEncoder()
    cached = PairsWithLatents(pairs, encode, key="backbone", batch_size=2)
    assert len(cached) == 3
    assert encode.images == 2 * 3 * ways
    for draw in (Draw(index, seed) for index in range(3) for seed in range(12)):
        item, pair = cached[draw], pairs[draw]
        assert set(item) == {*pair, "low_latent", "high_latent"}
        assert all(torch.equal(item[key], pair[key]) for key in pair)
        for name in ("low", "high"):
            torch.testing.assert_close(item[f"{name}_latent"], encode(pair[name][None])[0])


def test_a_second_run_encodes_nothing(open_real_pairs):
    encode = CountingEncoder()
    PairsWithLatents(open_real_pairs(Flips()), encode, key="backbone")
    PairsWithLatents(open_real_pairs(Flips()), encode, key="backbone")
    assert encode.images == 24
