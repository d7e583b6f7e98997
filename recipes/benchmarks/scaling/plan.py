"""The scales that are planned for, and the trainings of each: shipped configurations with a few options."""

import shlex
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from adapt import AdaptConfig
from reconstruct_autoencoder import ReconstructAutoencoderConfig
from reconstruct_denoiser import ReconstructDenoiserConfig

from retina_adapt.configuration import parse_configuration
from retina_adapt.training import TrainingSettings

CONFIGS = Path(__file__).parents[2] / "configs"
CONFIG_CLASSES = {
    "adapt": AdaptConfig,
    "reconstruct_autoencoder": ReconstructAutoencoderConfig,
    "reconstruct_denoiser": ReconstructDenoiserConfig,
}
AUTOENCODER, DENOISER = "autoencoder", "denoiser"
ADAPTOR_ON_SMALL_FRAMES = "adaptor in the autoencoder, small frames"
ADAPTOR_IN_AUTOENCODER, ADAPTOR_IN_DENOISER = "adaptor in the autoencoder", "adaptor in the denoiser"
STAGES = (AUTOENCODER, DENOISER, ADAPTOR_ON_SMALL_FRAMES, ADAPTOR_IN_AUTOENCODER, ADAPTOR_IN_DENOISER)

GPUS_PER_MACHINE = 8


@dataclass(frozen=True)
class Job:
    """One run of a recipe.

    Attributes:
        recipe, config: names of the script and of its configuration, without suffix.
        options: of its command line, names and values in turn.
    """

    recipe: str
    config: str
    options: tuple[str, ...] = ()

    @cached_property
    def configuration(self) -> Any:
        """What the recipe would read.

        Raises:
            ConfigurationError: an option does not fit.
        """
        arguments = ["--config", str(CONFIGS / f"{self.config}.yaml"), *self.options]
        return parse_configuration(CONFIG_CLASSES[self.recipe], description="", arguments=arguments)

    def steps(self) -> dict[str, tuple[int, int]]:
        """Optimiser steps of each stage, and the images that one GPU sees in a step."""
        config = self.configuration
        if self.recipe == "reconstruct_autoencoder":
            return {AUTOENCODER: (config.training.steps, _images(config.training))}
        if self.recipe == "reconstruct_denoiser":
            return {DENOISER: (config.training.steps, _images(config.training))}
        first, images = config.small_frames.steps, _images(config.autoencoder)
        return {
            ADAPTOR_ON_SMALL_FRAMES: (first, images),
            ADAPTOR_IN_AUTOENCODER: (config.autoencoder.steps - first, images),
            ADAPTOR_IN_DENOISER: (config.denoiser.steps, _images(config.denoiser)),
        }

    def words(self, gpus: int) -> list[str]:
        """The command that starts it on so many GPUs (0 is one core): each option with its value is one entry."""
        words = ["OMP_NUM_THREADS=1 accelerate launch --cpu" if gpus == 0 else "accelerate launch"]
        machines = -(-gpus // GPUS_PER_MACHINE)
        if gpus > 1:
            words.append("--config_file recipes/configs/accelerate/ddp.yaml")
        if machines > 1:
            words += [f"--num_machines {machines}", '--machine_rank "$RANK"', '--main_process_ip "$HOST"']
            words.append("--main_process_port 29500")
        words.append(f"--num_processes {max(1, gpus)}")
        words += [f"recipes/{self.recipe}.py", f"--config recipes/configs/{self.config}.yaml"]
        names, values = self.options[::2], self.options[1::2]
        return words + [f"{name} {shlex.quote(value)}" for name, value in zip(names, values, strict=True)]


@dataclass(frozen=True)
class Scale:
    """A collection of photographs and the machines to train on it.

    Attributes:
        photographs: to train on.
        gpus: 0 is one core of a processor.
        backbone: name of its configurations.
        jobs: one after the other.
        streaming: photographs are read one after the other, and not prepared on disk first.
    """

    photographs: int
    gpus: int
    backbone: str
    jobs: tuple[Job, ...]
    streaming: bool = False


@cache
def reconstruction(backbone: str, part: str, *, streaming: bool = False) -> Job:
    """The training of a backbone's part, `autoencoder` or `denoiser`."""
    data = _photographs("--data.train", "--data.validation", streaming)
    return Job(f"reconstruct_{part}", f"reconstruct_{part}_{backbone}", data)


@cache
def adaptation(backbone: str, *, streaming: bool = False) -> Job:
    """The training of the adaptor `light` on a backbone; the embedded one is `nano`."""
    options = _photographs("--train.clear", "--validation.clear", streaming)
    if backbone != "nano":
        options += ("--backbone", f"runs/{backbone}/denoiser/backbone", "--small_frames.size", "256")
        options += ("--autoencoder.mixed_precision", "bf16", "--denoiser.mixed_precision", "bf16")
    return Job("adapt", "adapt_light", options)


def planned() -> list[Scale]:
    """The rows of the table."""
    return [
        Scale(50, 0, "nano", (adaptation("nano"),)),
        Scale(50, 1, "nano", (adaptation("nano"),)),
        Scale(1_000, 1, "small", (adaptation("small"),)),
        Scale(10_000, 1, "small", _everything("small")),
        Scale(100_000, 8, "base", _everything("base")),
        Scale(1_000_000, 32, "base", _everything("base")),
        Scale(10_000_000, 64, "base", _everything("base", streaming=True), streaming=True),
    ]


def _everything(backbone: str, *, streaming: bool = False) -> tuple[Job, ...]:
    parts = (reconstruction(backbone, part, streaming=streaming) for part in ("autoencoder", "denoiser"))
    return (*parts, adaptation(backbone, streaming=streaming))


def _images(settings: TrainingSettings) -> int:
    return settings.batch_size * settings.gradient_accumulation


def _photographs(train: str, validation: str, streaming: bool) -> tuple[str, ...]:
    read = "[{path: photographs, streaming: true}]" if streaming else "[{path: photographs}]"
    return (train, read, validation, "[{path: photographs, split: validation}]")
