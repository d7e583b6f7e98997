"""What the plan multiplies: counted operations, and processor time and bytes as measured on this machine."""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from reconstruct_autoencoder import ReconstructionStep
from reconstruct_denoiser import DenoisingStep
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.scaling.plan import (
    ADAPTOR_IN_DENOISER,
    ADAPTOR_ON_SMALL_FRAMES,
    AUTOENCODER,
    DENOISER,
    STAGES,
    adaptation,
    reconstruction,
)
from benchmarks.training.measuring import TrainingBenchmarkConfig, measure_steps
from retina_adapt.adaptation import AutoencoderAdaptationStep, DenoiserAdaptationStep
from retina_adapt.adaptors import attach_adaptor, train_only
from retina_adapt.backbones import build_backbone
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.data import DegradePair, Draw, Flips, PreparedPhotographs, RandomCrop, load_images

BACKBONES = ("nano", "small", "base")
DRAWN_PHOTOGRAPHS = 2
ITEMS = 10
ADVERSARIAL_STEP = 10**6
"""Late enough for every term to have set in."""


@dataclass
class Measurements:
    """All by backbone, then by stage (`STAGES`).

    Attributes:
        torch: its version.
        operations: floating-point operations of a training step, per image.
        parameters: of the network in training, frozen ones included.
        trained_parameters: those that the optimiser changes.
        item_seconds: processor time to make one training item of a prepared photograph; measured.
        prepared_bytes: of one prepared photograph; measured.
        core_operations_per_second: what one core did in the training of the adaptor on `nano`; measured.
    """

    torch: str
    operations: dict[str, dict[str, int]]
    parameters: dict[str, dict[str, int]]
    trained_parameters: dict[str, dict[str, int]]
    item_seconds: dict[str, dict[str, float]]
    prepared_bytes: dict[str, dict[str, int]]
    core_operations_per_second: float


def measure() -> Measurements:
    """Count and measure everything."""
    torch.set_num_threads(1)
    found = Measurements(torch.__version__, {}, {}, {}, {}, {}, core_operations_per_second())
    with tempfile.TemporaryDirectory() as temporary:
        photographs = Path(temporary)
        draw_photographs(photographs, count=DRAWN_PHOTOGRAPHS, seed=0, size=512)
        measured: dict[tuple, tuple[float, int]] = {}
        for backbone in BACKBONES:
            for stage in STAGES:
                step, size = meta_step(backbone, stage)
                parameters = list(step.parameters())
                found.operations.setdefault(backbone, {})[stage] = count_operations(step, size)
                found.parameters.setdefault(backbone, {})[stage] = sum(p.numel() for p in parameters)
                found.trained_parameters.setdefault(backbone, {})[stage] = sum(
                    parameter.numel() for parameter in parameters if parameter.requires_grad
                )
                prepared_size, transform = item_of(backbone, stage)
                if (prepared_size, transform) not in measured:
                    measured[prepared_size, transform] = measure_items(photographs, prepared_size, transform)
                seconds, size_in_bytes = measured[prepared_size, transform]
                found.item_seconds.setdefault(backbone, {})[stage] = seconds
                found.prepared_bytes.setdefault(backbone, {})[stage] = size_in_bytes
    return found


def core_operations_per_second() -> float:
    """Of one core, in the training of the embedded adaptor."""
    case = ("adaptor", False)
    seconds, operations = measure_steps(TrainingBenchmarkConfig(repeats=3), [case])[case]
    return operations / seconds


def meta_step(backbone_name: str, stage: str) -> tuple[nn.Module, int]:
    """The training step of a stage, without values, and the side of the frames that it takes, in pixels."""
    denoiser = reconstruction(backbone_name, "denoiser").configuration
    size = frame_size(backbone_name, stage)
    with torch.device("meta"):
        backbone = build_backbone(denoiser.backbone)
        if stage == AUTOENCODER:
            config = reconstruction(backbone_name, "autoencoder").configuration
            return ReconstructionStep(backbone.without_denoiser(), config), size
        if stage == DENOISER:
            backbone.autoencoder.requires_grad_(False)
            return DenoisingStep(backbone, denoiser), size
        config = adaptation(backbone_name).configuration
        adapted = attach_adaptor(backbone.requires_grad_(False), config.adaptor.to_peft_config(), "adaptor")
        if stage == ADAPTOR_IN_DENOISER:
            train_only(adapted, "adaptor", ["denoiser.mid"])
            return DenoiserAdaptationStep(backbone), size
        train_only(adapted, "adaptor", ["encoder", "decoder"])
        return AutoencoderAdaptationStep(backbone, config.loss_weights), size


def frame_size(backbone_name: str, stage: str) -> int:
    """The side of the frames that a stage trains on, in pixels."""
    if stage == AUTOENCODER:
        return reconstruction(backbone_name, "autoencoder").configuration.data.crop_size
    if stage == ADAPTOR_ON_SMALL_FRAMES:
        return adaptation(backbone_name).configuration.small_frames.size
    return reconstruction(backbone_name, "denoiser").configuration.backbone.image_size


def count_operations(step: nn.Module, size: int) -> int:
    """Floating-point operations of a step on one frame of `size` pixels, forwards and backwards."""
    with FlopCounterMode(display=False) as counter:
        # Counts by module are not needed, and what keeps them forbids `torch.autograd.grad`, by which an adversarial
        # term is balanced.
        counter.mod_tracker.__exit__()
        step(meta_batch(size))["loss"].backward()
    return counter.get_total_flops()


def meta_batch(size: int) -> dict[str, Tensor]:
    """One pair and one image, without values; what a seed draws has them."""
    image = torch.empty(1, 3, size, size, device="meta")
    mask = torch.ones(1, 1, size, size, dtype=torch.bool, device="meta")
    seeds = {"seed": torch.tensor([7]), "step": torch.tensor(ADVERSARIAL_STEP)}
    return {"low": image, "high": image, "image": image, "mask": mask, **seeds}


def item_of(backbone_name: str, stage: str) -> tuple[int, DegradePair | RandomCrop]:
    """The size of prepared photographs, in pixels, and what makes a training item of one."""
    size = frame_size(backbone_name, stage)
    if stage in (AUTOENCODER, DENOISER):
        data = reconstruction(backbone_name, stage).configuration.data
        probability, presets = data.degradation_probability, tuple(data.degradations)
        return data.prepared_size, RandomCrop(size, degradation_probability=probability, presets=presets)
    source = adaptation(backbone_name).configuration.train
    return size, DegradePair(source.degradation, flips=Flips(), clear_share=source.clear_share)


def measure_items(photographs: Path, prepared_size: int, transform: DegradePair | RandomCrop) -> tuple[float, int]:
    """Mean processor time of an item in seconds, and the bytes of a prepared photograph."""
    prepared = PreparedPhotographs(load_images(photographs), prepared_size)
    seconds = []
    for seed in range(ITEMS + 1):
        started = time.process_time()
        transform(prepared[seed % len(prepared)], Draw(seed % len(prepared), seed))
        seconds.append(time.process_time() - started)
    size = prepared.cache_file.stat().st_size // len(prepared)
    prepared.cache_file.unlink()
    return statistics.mean(seconds[1:]), size
