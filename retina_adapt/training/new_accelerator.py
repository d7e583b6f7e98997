"""The accelerator that a recipe's configuration asks for."""

from datetime import timedelta
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.tracking import TrackingSettings

# Other processes wait while the main one prepares photographs or encodes latents. PyTorch gives up after 10 or 30
# minutes, too early for tens of thousands of photographs. A long limit does no harm: when a process ends, the launcher
# ends the others at once.
LONGEST_WAIT = timedelta(hours=24)


def new_accelerator(settings: TrainingSettings, tracking: TrackingSettings, output_folder: str | Path) -> Accelerator:
    """An accelerator with the precision, gradient accumulation and trackers of a recipe's configuration."""
    return Accelerator(
        mixed_precision=settings.mixed_precision,
        gradient_accumulation_steps=settings.gradient_accumulation,
        log_with=tracking.trackers,
        project_dir=output_folder,
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=LONGEST_WAIT),
            # Keeps gradients in the buckets that are exchanged instead of storing them a second time.
            DistributedDataParallelKwargs(gradient_as_bucket_view=True),
        ],
    )
