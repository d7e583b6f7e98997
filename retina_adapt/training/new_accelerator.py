"""The accelerator of a recipe, as its configuration wants it."""

from datetime import timedelta
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.tracking import TrackingSettings

# The others wait while the main process prepares photographs or encodes latents. PyTorch gives up after 10 or 30
# minutes, too early for tens of thousands of photographs. When a process ends, the launcher ends the others at once,
# however long they would wait.
LONGEST_WAIT = timedelta(hours=24)


def new_accelerator(settings: TrainingSettings, tracking: TrackingSettings, output_folder: str | Path) -> Accelerator:
    """An accelerator with the precision, the accumulation and the trackers of a recipe's configuration."""
    return Accelerator(
        mixed_precision=settings.mixed_precision,
        gradient_accumulation_steps=settings.gradient_accumulation,
        log_with=tracking.trackers,
        project_dir=output_folder,
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=LONGEST_WAIT),
            # Gradients lie in the buckets that are exchanged, instead of beside them a second time.
            DistributedDataParallelKwargs(gradient_as_bucket_view=True),
        ],
    )
