"""What trainings will cost, before they start."""

import time
from collections.abc import Sequence

import torch

from benchmarks.claims.arms import build_arm
from benchmarks.claims.trainings import Training
from retina_adapt.backbones import load_backbone
from retina_adapt.embedded import backbone_folder

TIMED_STEPS = 2


def estimate(trainings: Sequence[Training]) -> str:
    """`12 trainings, about 0.7 core-hours`, as if all took as long a step as the first one, which is timed here."""
    if not trainings:
        return "none"
    hours = sum(map(_whole_frames, trainings)) * _seconds_per_pair(trainings[0]) / 3600
    return f"{len(trainings)} trainings, about {hours:.1f} core-hours, and scoring besides"


def _whole_frames(training: Training) -> float:
    """Pairs that a training sees; one of half the size costs a quarter, and counts so."""
    steps = training.steps
    if training.fit is not None:
        steps += training.fit.steps * len(training.fit.photographs) * len(training.test_sets)
    return steps * (1 - 0.75 * training.small_frames_share) * training.batch_size


def _seconds_per_pair(training: Training) -> float:
    """Processor seconds that a step of the training's first stage takes for each pair of its batch."""
    backbone = load_backbone(backbone_folder(training.backbone)).requires_grad_(False)
    size, channels = backbone.settings.image_size, backbone.settings.image_channels
    high = torch.rand(training.batch_size, channels, size, size)
    batch = {
        "low": high / 2,
        "high": high,
        "mask": torch.ones(training.batch_size, 1, size, size, dtype=torch.bool),
        "seed": torch.arange(training.batch_size),
    }
    arm = build_arm(training.arm, backbone, training.adaptor, training.losses)
    stage = arm.stages[0]
    arm.train_stage(stage)
    for step in range(1 + TIMED_STEPS):
        # The first step is slower than the others.
        if step == 1:
            started = time.process_time()
        stage.step(batch)["loss"].backward()
    return (time.process_time() - started) / TIMED_STEPS / training.batch_size
