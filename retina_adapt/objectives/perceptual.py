"""A perceptual distance without external weights: its features are those of a reconstruction backbone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retina_adapt.backbones import HookPointError, ReconstructionBackbone


class PerceptualDistance(nn.Module):
    """A distance between images by their features in the encoder of a frozen reference backbone.

    Features are taken at the encoder's hook points and scaled to unit length at each pixel; the distance is their
    squared difference, summed over channels, averaged over pixels, images and hook points (Zhang et al. 2018, "The
    unreasonable effectiveness of deep features", eq. 1, with equal weights for all channels). It lies in [0, 4].

    Args:
        backbone: the reference. It is frozen and set to evaluation mode for good: give one that nothing else trains,
            e.g. a copy loaded for this purpose.

    Raises:
        HookPointError: the reference has no hook point of the group `encoder` with the layout `map`.
    """

    def __init__(self, backbone: ReconstructionBackbone) -> None:
        super().__init__()
        self.hook_names = [
            point.name for point in backbone.hook_points() if point.group == "encoder" and point.layout == "map"
        ]
        if not self.hook_names:
            raise HookPointError(
                "this backbone cannot be the reference of a perceptual distance: its encoder has no hook point whose "
                "features are a map; use another one"
            )
        self.backbone = backbone.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "PerceptualDistance":
        """Stay in evaluation mode, whatever the mode of the surrounding module."""
        return super().train(False)

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        """A scalar; its gradient reaches `result` only.

        Args:
            result: images (batch, channels, height, width) in [0, 1], sides divisible by the reference's stride.
            target: the same shape.
        """
        with torch.no_grad():
            target_features = self._unit_features(target)
        distances = [
            (one - other).square().sum(dim=1).mean()
            for one, other in zip(self._unit_features(result), target_features, strict=True)
        ]
        return torch.stack(distances).mean()

    def _unit_features(self, images: Tensor) -> list[Tensor]:
        with self._features_kept() as features:
            self.backbone.encode(images)
        # In float32: in bfloat16, the difference of similar features would be mostly rounding.
        return [F.normalize(feature.float(), dim=1) for feature in features]

    @contextmanager
    def _features_kept(self) -> Iterator[list[Tensor]]:
        """A list that fills with the hook points' outputs while the backbone runs; no hook outlives the context."""
        features: list[Tensor] = []
        hooks = [
            self.backbone.get_submodule(name).register_forward_hook(
                lambda _module, _inputs, output: features.append(output)
            )
            for name in self.hook_names
        ]
        try:
            yield features
        finally:
            for hook in hooks:
                hook.remove()
