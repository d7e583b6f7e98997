"""The network: shapes, ranges, size, and that every weight counts."""

import pytest
import torch

from retina_adapt.routing import CLASSES, FaultNetwork, Router, RouterSettings, build_network


@pytest.mark.parametrize("size", [64, 96])
def test_scores_of_every_class_and_a_severity_for_every_frame(size: int) -> None:
    network = FaultNetwork(6, size, channels=(4, 4, 4, 4, 4), hidden_features=8)
    scores, severities = network(torch.rand(3, 3, size, size))
    assert scores.shape == (3, 6)
    assert severities.shape == (3,)
    assert ((severities > 0) & (severities < 1)).all()


def test_a_frame_of_one_value_gives_finite_scores_and_gradients() -> None:
    network = FaultNetwork(6, 64, channels=(4, 4, 4, 4, 4))
    scores, severities = network(torch.zeros(2, 3, 64, 64))
    (scores.sum() + severities.sum()).backward()
    assert scores.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_every_parameter_takes_part() -> None:
    network = FaultNetwork(6, 64, channels=(4, 4, 4, 4, 4))
    scores, severities = network(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    (scores.square().sum() + severities.sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_default_network_takes_less_than_a_megabyte() -> None:
    assert 4 * sum(parameter.numel() for parameter in build_network(RouterSettings()).parameters()) < 1e6


def test_a_frame_is_judged_alike_alone_and_among_others(router: Router) -> None:
    frames = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    probabilities, severities = router.judge(frames)
    assert probabilities.shape == (3, len(CLASSES))
    assert torch.allclose(probabilities.sum(1), torch.ones(3))
    alone, severity = router.judge(frames[1:2])
    assert torch.allclose(alone[0], probabilities[1], atol=1e-6)
    assert torch.allclose(severity[0], severities[1], atol=1e-6)
