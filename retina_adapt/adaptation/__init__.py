"""Adaptation, the method's second half: what its two stages minimise, and in which phases."""

from retina_adapt.adaptation.losses import AdaptationLossWeights, picture_losses, weighted_sum
from retina_adapt.adaptation.phases import (
    PairBatchError,
    Phase,
    SecondLook,
    SmallFrames,
    TrainingPairs,
    batches_of_phases,
)
from retina_adapt.adaptation.steps import AdaptationStep, AutoencoderAdaptationStep, DenoiserAdaptationStep

__all__ = [
    "AdaptationLossWeights",
    "AdaptationStep",
    "AutoencoderAdaptationStep",
    "DenoiserAdaptationStep",
    "PairBatchError",
    "Phase",
    "SecondLook",
    "SmallFrames",
    "TrainingPairs",
    "batches_of_phases",
    "picture_losses",
    "weighted_sum",
]
