"""The training loop on Accelerate that all recipes share, its checkpoints and its tracking."""

from retina_adapt.training.checkpoint import CheckpointError
from retina_adapt.training.divergence import TrainingDivergedError
from retina_adapt.training.gather import NoScoresError, mean_scores
from retina_adapt.training.interruption import TrainingStopped
from retina_adapt.training.loop import train
from retina_adapt.training.new_accelerator import new_accelerator
from retina_adapt.training.optimization import (
    BatchesEndedError,
    NothingToTrainError,
    OptimizerMaker,
    UnsupportedStrategyError,
    UnusedParameterError,
    adamw,
)
from retina_adapt.training.recipe_run import run_recipe
from retina_adapt.training.settings import TrainingSettings, TrainingSettingsError
from retina_adapt.training.tracking import TrackerError, TrackingSettings, Validation, start_run
from retina_adapt.training.validation_history import ScoredStep

__all__ = [
    "BatchesEndedError",
    "CheckpointError",
    "NoScoresError",
    "NothingToTrainError",
    "OptimizerMaker",
    "ScoredStep",
    "TrackerError",
    "TrackingSettings",
    "TrainingDivergedError",
    "TrainingSettings",
    "TrainingSettingsError",
    "TrainingStopped",
    "UnsupportedStrategyError",
    "UnusedParameterError",
    "Validation",
    "adamw",
    "mean_scores",
    "new_accelerator",
    "run_recipe",
    "start_run",
    "train",
]
