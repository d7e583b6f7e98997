"""The adversarial term: who learns from which loss, when, and how strongly."""

import pytest
import torch
from torch import Tensor, nn

from retina_adapt.objectives import (
    AdversarialSettings,
    AdversarialSettingsError,
    AdversarialTerm,
    DiscriminatorSizeError,
    PatchDiscriminator,
    adaptive_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class ToyGenerator(nn.Module):
    """Two convolutions, the second of which is the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(images)))


@pytest.fixture
def generator() -> ToyGenerator:
    torch.manual_seed(0)
    return ToyGenerator()


def toy_term(**settings: object) -> AdversarialTerm:
    torch.manual_seed(1)
    return AdversarialTerm(AdversarialSettings(**({"weight": 1.0, "base_channels": 8, "layers": 2} | settings)), 3)


def losses_of(term: AdversarialTerm, generator: ToyGenerator, step: Tensor | int = 0) -> dict[str, Tensor]:
    target = random(2, 3, 24, 24)
    reconstructed = generator(target)
    reconstruction = (reconstructed - target).abs().mean()
    return term(reconstructed, target, reconstruction, generator.last.weight, step)


def test_the_discriminators_loss_trains_all_of_the_discriminator_and_nothing_else(generator: ToyGenerator) -> None:
    term = toy_term()
    losses_of(term, generator)["discriminator"].backward()
    assert all(parameter.grad is not None for parameter in term.parameters())
    # While no patch is judged with confidence, the last bias gains as much from originals as it loses otherwise.
    assert all(parameter.grad.abs().sum() > 0 for parameter in term.parameters() if parameter.ndim == 4)
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_the_generators_loss_trains_all_of_the_generator_and_nothing_else(generator: ToyGenerator) -> None:
    term = toy_term()
    losses_of(term, generator)["generator"].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in generator.parameters())
    assert all(parameter.grad is None for parameter in term.parameters())


def test_descending_the_generators_loss_raises_the_scores_of_the_reconstruction(generator: ToyGenerator) -> None:
    term, images = toy_term(), random(2, 3, 24, 24)
    before = term.discriminator(generator(images)).mean()
    losses_of(term, generator)["generator"].backward()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter -= 1e-3 * parameter.grad
    assert term.discriminator(generator(images)).mean() > before


@pytest.mark.parametrize("as_tensor", [False, True])
def test_before_the_start_step_only_the_discriminator_learns(generator: ToyGenerator, as_tensor: bool) -> None:
    term = toy_term(start_step=3)
    steps = [torch.tensor(step) if as_tensor else step for step in (0, 2, 3)]
    early, late_early, started = (losses_of(term, generator, step) for step in steps)
    assert early["generator"] == late_early["generator"] == 0
    assert started["generator"] != 0
    assert early["discriminator"] == started["discriminator"]
    (early["generator"] + early["discriminator"]).backward()
    assert all(parameter.grad is not None for parameter in term.parameters())
    assert all(parameter.grad is None for parameter in generator.parameters())


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_at_the_last_layer_both_gradients_have_the_norms_that_the_weight_says(
    generator: ToyGenerator, weight: float
) -> None:
    target = random(2, 3, 24, 24)
    reconstructed = generator(target)
    reconstruction = (reconstructed - target).abs().mean()
    generator_loss = toy_term(weight=weight)(reconstructed, target, reconstruction, generator.last.weight, 0)[
        "generator"
    ]
    norms = [
        torch.autograd.grad(loss, generator.last.weight, retain_graph=True)[0].norm()
        for loss in (reconstruction, generator_loss)
    ]
    torch.testing.assert_close(norms[1], weight * norms[0], rtol=1e-3, atol=0)


def test_the_adaptive_weight_is_the_ratio_of_gradient_norms() -> None:
    layer = nn.Parameter(torch.tensor([2.0, -1.0]))
    # Gradients (3, 4) and (0, 10).
    reconstruction, generator = 3 * layer[0] + 4 * layer[1], 10 * layer[1]
    weight = adaptive_weight(reconstruction, generator, layer)
    torch.testing.assert_close(weight, torch.tensor(0.5))
    assert not weight.requires_grad
    assert adaptive_weight(reconstruction, 0 * generator, layer) == 1e4
    assert adaptive_weight(0 * reconstruction, generator, layer) == 0


def test_the_hinge_losses_follow_their_formulas() -> None:
    original, reconstructed = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    torch.testing.assert_close(
        hinge_discriminator_loss(original, reconstructed), torch.tensor(0.5 * ((0.5 + 2.0) / 3 + (1.0 + 2.0) / 3))
    )
    torch.testing.assert_close(hinge_generator_loss(reconstructed), torch.tensor(2 / 3))


def test_a_discriminator_learns_to_tell_sharp_images_from_blurred_ones(generator: ToyGenerator) -> None:
    term = toy_term()
    optimizer = torch.optim.AdamW(term.parameters(), lr=1e-3)
    for seed in range(30):
        sharp = random(4, 3, 24, 24, seed=seed)
        blurred = nn.functional.avg_pool2d(sharp, 3, 1, 1)
        losses = term(blurred, sharp, blurred.mean(), generator.last.weight, step=-1)
        optimizer.zero_grad()
        losses["discriminator"].backward()
        optimizer.step()
    sharp = random(4, 3, 24, 24, seed=99)
    with torch.no_grad():
        sharp_scores = term.discriminator(sharp).mean(dim=(1, 2, 3))
        blurred_scores = term.discriminator(nn.functional.avg_pool2d(sharp, 3, 1, 1)).mean(dim=(1, 2, 3))
    assert sharp_scores.min() > blurred_scores.max()


def test_an_images_scores_do_not_depend_on_the_rest_of_the_batch() -> None:
    torch.manual_seed(0)
    discriminator, images = PatchDiscriminator(3, 8, 2).train(), random(3, 3, 24, 24)
    torch.testing.assert_close(discriminator(images)[:1], discriminator(images[:1]))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_there_is_a_score_for_each_patch_down_to_the_stated_size(layers: int) -> None:
    discriminator, shortest = PatchDiscriminator(1, 8, layers), 3 * 2**layers
    assert discriminator(random(2, 1, shortest, shortest)).shape == (2, 1, 1, 1)
    assert discriminator(random(2, 1, 64, 72)).shape == (2, 1, 64 // 2**layers - 2, 72 // 2**layers - 2)
    with pytest.raises(DiscriminatorSizeError, match=f"at least {shortest} px"):
        discriminator(random(2, 1, shortest, shortest - 1))


def test_patches_of_three_layers_are_seventy_pixels() -> None:
    torch.manual_seed(0)
    convolutions = [layer for layer in PatchDiscriminator(3, 8, 3).modules() if isinstance(layer, nn.Conv2d)]
    side = 1
    for convolution in reversed(convolutions):
        side = (side - 1) * convolution.stride[0] + convolution.kernel_size[0]
    assert side == 70


@pytest.mark.parametrize(("base_channels", "layers"), [(0, 3), (12, 3), (8, 0)])
def test_a_discriminator_that_cannot_be_built_is_refused(base_channels: int, layers: int) -> None:
    with pytest.raises(DiscriminatorSizeError, match="multiple of 8"):
        PatchDiscriminator(3, base_channels, layers)


@pytest.mark.parametrize("name", ["weight", "start_step"])
def test_a_setting_out_of_range_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(AdversarialSettingsError, match=rf"adversarial\.{name} is -1"):
        AdversarialSettings(**{name: -1})
