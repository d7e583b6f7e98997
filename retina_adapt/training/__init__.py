"""The one Accelerate loop, its checkpoints and its tracking."""

from retina_adapt.training.checkpoint import CheckpointError
from retina_adapt.training.gather import mean_scores
from retina_adapt.training.loop import NothingToTrainError, TrainingDivergedError, UnusedParameterError, train
from retina_adapt.training.settings import TrainingSettings, TrainingSettingsError
from retina_adapt.training.tracking import Validation, start_run

__all__ = [
    "CheckpointError",
    "NothingToTrainError",
    "TrainingDivergedError",
    "TrainingSettings",
    "TrainingSettingsError",
    "UnusedParameterError",
    "Validation",
    "mean_scores",
    "start_run",
    "train",
]
