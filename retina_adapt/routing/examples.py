"""Examples for training and checking a router: photographs degraded by a draw, with what was drawn."""

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch

from retina_adapt.data import Draw, Flips, PreparedPhotograph, PreparedPhotographs, Tones
from retina_adapt.data.draws import random_generator, require_draw
from retina_adapt.data.preparation import mirror_outside
from retina_adapt.data.tensors import image_tensor, integer_tensor
from retina_adapt.degradations import DrawnDegradation, apply_degradation, draw_degradation
from retina_adapt.imaging import resize
from retina_adapt.routing.errors import RouterSettingsError
from retina_adapt.routing.faults import CLASSES, CLEAR, NEGLIGIBLE_SEVERITY, fault_class

_NEGLIGIBLE_SHARE = 1 / 3


class RoutingItem(TypedDict):
    """One example, S pixels a side.

    Keys:
        image: float32 (3, S, S) in [0, 1].
        label: index of its class in `CLASSES`, an int64 scalar.
        severity: float32 scalar in [0, 1]; 0 if nothing was degraded.
        index, seed: the draw, int64 scalars.
    """

    image: torch.Tensor
    label: torch.Tensor
    severity: torch.Tensor
    index: torch.Tensor
    seed: torch.Tensor


@dataclass(frozen=True)
class CameraVariation:
    """Make a photograph look like another camera's: crop, turn and mirror it, and change its tone and colours a little.

    Applied alike to photographs that stay clear and those that are then degraded, so that it is not taken for a fault.

    Attributes:
        smallest_crop: side of the smallest square crop, as a share of the frame; the side and the position are uniform.
        tone, color: see `Tones`.
    """

    smallest_crop: float = 0.85
    tone: float = 0.25
    color: float = 0.1

    def change_tone(self, image: np.ndarray, seed: int) -> np.ndarray:
        """Raise each channel of an image (S, S, 3) in [0, 1] to a power of its own; float32."""
        return Tones(self.tone, self.color).apply(seed, image)

    def cut(self, image: np.ndarray, seed: int) -> np.ndarray:
        """Cut a square from an image (S, S, 3), in one of its eight orientations."""
        generator = random_generator(seed, "cut")
        size = image.shape[0]
        side = round(size * generator.uniform(self.smallest_crop, 1.0))
        top, left = generator.integers(size - side + 1, size=2)
        if generator.random() < 0.5:
            image, top, left = image.transpose(1, 0, 2), left, top
        return Flips().apply(seed, image[top : top + side, left : left + side])[0]


@dataclass(frozen=True)
class DrawExample:
    """Make an example from a clear photograph; everything random comes from the seed of a `Draw`.

    Attributes:
        size: side of the result in pixels.
        presets: names of degradations, each equally likely; without any, every photograph stays clear.
        clear_share: how often, in [0, 1], the example is clear. If presets are given, a third of the clear examples is
            degraded all the same, at a negligible severity (up to `NEGLIGIBLE_SEVERITY`).
        severity: lowest and highest severity, drawn uniformly between them; None takes the preset's own range.
        variation: of tone before the degradation, and of the crop after it; None takes the photograph as it is.

    Raises:
        UnknownPresetError, SeverityError: an unknown preset, or a severity out of range.
        RouterSettingsError: `clear_share` is outside [0, 1], or below 1 without presets.
    """

    size: int
    presets: tuple[str, ...] = ()
    clear_share: float = 0.0
    severity: tuple[float, float] | None = None
    variation: CameraVariation | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.clear_share <= 1.0:
            raise RouterSettingsError(f"clear_share is {self.clear_share}; it must lie in [0, 1]")
        if not self.presets and self.clear_share < 1.0:
            raise RouterSettingsError("without presets every example is clear; give presets, or a clear_share of 1")
        for preset in self.presets:
            for severity in self.severity or (None,):
                draw_degradation(preset, seed=0, severity=severity)

    def __call__(self, photograph: PreparedPhotograph, draw: Draw) -> RoutingItem:
        """Vary, degrade, cut and resize; grey photographs become three equal channels."""
        image = np.repeat(photograph.image, 3, axis=2) if photograph.image.shape[2] == 1 else photograph.image
        if self.variation is not None:
            image = self.variation.change_tone(image, draw.seed)
        drawn = self.draw(draw.seed)
        if drawn is not None:
            image = mirror_outside(apply_degradation(image, photograph.mask, drawn), photograph.mask)
        if self.variation is not None:
            image = self.variation.cut(image, draw.seed)
        label = CLEAR if drawn is None else fault_class(drawn)
        return RoutingItem(
            image=image_tensor(resize(image, self.size, self.size)),
            label=integer_tensor(CLASSES.index(label)),
            severity=torch.tensor(0.0 if drawn is None else drawn.severity, dtype=torch.float32),
            index=integer_tensor(draw.index),
            seed=integer_tensor(draw.seed),
        )

    def draw(self, seed: int) -> DrawnDegradation | None:
        """The degradation that a seed draws; None if the photograph stays as it is."""
        is_clear, is_degraded, choice, place = random_generator(seed, "example").random(4)
        if not self.presets:
            return None
        preset = self.presets[int(choice * len(self.presets))]
        if is_clear < self.clear_share:
            if is_degraded >= _NEGLIGIBLE_SHARE:
                return None
            return draw_degradation(preset, seed=seed, severity=float(place) * NEGLIGIBLE_SEVERITY)
        severity = None
        if self.severity is not None:
            lowest, highest = self.severity
            severity = lowest + (highest - lowest) * float(place)
        return draw_degradation(preset, seed=seed, severity=severity)


class RoutingExamples(torch.utils.data.Dataset[RoutingItem]):
    """Examples made from prepared clear photographs; item `Draw(index, seed)` depends only on the draw."""

    def __init__(self, prepared: PreparedPhotographs, draw_example: DrawExample) -> None:
        self.prepared = prepared
        self.draw_example = draw_example

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, draw: Draw) -> RoutingItem:
        require_draw(draw)
        return self.draw_example(self.prepared[draw.index], draw)
