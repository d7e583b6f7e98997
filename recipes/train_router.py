"""Routing: train the small network that tells which fault a photograph has, and thus which adaptor it needs.

    accelerate launch recipes/train_router.py --config recipes/configs/train_router_embedded.yaml

Clear photographs are degraded by the presets, anew for every draw; the network learns the fault's class and severity.
Then the threshold for using no adaptor is set on views of clear validation photographs. Writes a router folder to
`<output_folder>/router`. If interrupted, the same command resumes.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from retina_adapt import __version__
from retina_adapt.configuration import ConfigurationError
from retina_adapt.data import (
    EvaluationBatchSampler,
    PhotographSource,
    PreparedPhotographs,
    open_sources,
    require_other_photographs,
    training_batches,
)
from retina_adapt.routing import (
    CLASSES,
    CLEAR,
    CameraVariation,
    DrawExample,
    FaultNetwork,
    Router,
    RouterMetadata,
    RouterSettings,
    RoutingExamples,
    build_network,
    clear_threshold,
    save_router,
)
from retina_adapt.training import (
    TrackingSettings,
    TrainingSettings,
    Validation,
    mean_scores,
    new_accelerator,
    run_recipe,
    start_run,
    train,
)


@dataclass
class RouterDecision:
    """How probabilities become a choice.

    Args:
        adaptors: name of the adaptor for each class except clear; a class without one gets none.
        largest_touched_share: largest share, in [0, 1), of the views of clear validation photographs that may get an
            adaptor; if even a threshold of 0.5 gives fewer of them one, it stays at 0.5.
        views: number of views of each clear validation photograph on which the threshold is set.
        smallest_crop: smallest crop of a view, as a share of the frame.
    """

    adaptors: dict[str, str] = field(default_factory=lambda: {name: name for name in CLASSES if name != CLEAR})
    largest_touched_share: float = 0.05
    views: int = 16
    smallest_crop: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.largest_touched_share < 1:
            raise ConfigurationError(
                f"decision.largest_touched_share is {self.largest_touched_share}; it must be at least 0 and below 1"
            )
        if self.views < 1:
            raise ConfigurationError(f"decision.views is {self.views}; it must be at least 1")
        if not 0 < self.smallest_crop <= 1:
            raise ConfigurationError(f"decision.smallest_crop is {self.smallest_crop}; it must lie in (0, 1]")


@dataclass
class RouterCardSettings:
    """What the router's card says beyond what training knows.

    Args:
        data_sets: names and credits of the photographs.
        license: SPDX identifier of the router's licence.
        intended_use: what the router is good for, and what not.
    """

    data_sets: list[str] = field(default_factory=lambda: ["the user's own photographs"])
    license: str = "Apache-2.0"
    intended_use: str = (
        "Research on retinal image enhancement. Not a medical device, and no judgement of whether a photograph is good "
        "enough for a diagnosis: it was trained on simulated faults."
    )


@dataclass
class TrainRouterConfig:
    """Everything that recipes/train_router.py reads.

    Args:
        output_folder: where the router, checkpoints and logs go.
        train: clear photographs to train on.
        validation: clear photographs to validate on, and to set the threshold on.
        presets: degradations to tell apart, each equally likely.
        severity: lowest and highest severity of the degraded examples in training; validation uses the presets' own.
        clear_share: share of clear examples in training.
        severity_weight: weight of the severity's absolute error, beside the cross entropy of the classes.
        largest_broken_share: share of the training photographs, in [0, 1], that may be broken and are then left out.
        prepared_size: side of the squares that are degraded and cut from, in pixels.
        image_size: side of the network's frames in pixels, divisible by 32.
        channels: features of the network's five levels, from fine to coarse.
        validation_draws: number of draws of each preset for each validation photograph.
        decision: how probabilities become a choice.
        training: the training loop.
        card: further statements for the router's card.
        tracking: where the run is logged.
    """

    output_folder: str
    train: list[PhotographSource]
    validation: list[PhotographSource]
    presets: list[str] = field(default_factory=lambda: ["light", "blur", "spots", "haze", "mixed"])
    severity: list[float] = field(default_factory=lambda: [0.3, 1.0])
    clear_share: float = 0.3
    severity_weight: float = 2.0
    largest_broken_share: float = 0.05
    prepared_size: int = 320
    image_size: int = 256
    channels: list[int] = field(default_factory=lambda: [16, 32, 48, 48, 48])
    validation_draws: int = 2
    decision: RouterDecision = field(default_factory=RouterDecision)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    card: RouterCardSettings = field(default_factory=RouterCardSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)

    def __post_init__(self) -> None:
        if len(self.severity) != 2:
            raise ConfigurationError(f"severity is {self.severity}; give the lowest and the highest")
        if self.validation_draws < 1:
            raise ConfigurationError(f"validation_draws is {self.validation_draws}; it must be at least 1")
        if not self.severity_weight >= 0:
            raise ConfigurationError(f"severity_weight is {self.severity_weight}; it must not be negative")
        if self.training.gradient_checkpointing:
            raise ConfigurationError("the router's small network offers no gradient checkpointing; set it to false")


class RoutingStep(nn.Module):
    """Cross entropy of the classes, and the absolute error of the severity."""

    def __init__(self, network: FaultNetwork, severity_weight: float) -> None:
        super().__init__()
        self.network = network
        self.severity_weight = severity_weight

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        scores, severities = self.network(batch["image"])
        class_loss = F.cross_entropy(scores, batch["label"])
        severity_loss = (severities - batch["severity"]).abs().mean()
        return {
            "loss": class_loss + self.severity_weight * severity_loss,
            "class": class_loss,
            "severity": severity_loss,
        }


def judgements(
    router: Router, examples: RoutingExamples, seeds: range, *, rank: int = 0, world_size: int = 1
) -> Iterator[tuple[Tensor, float, int, float]]:
    """Yield the probabilities, severity, true label and true severity of each of a rank's examples."""
    for seed in seeds:
        sampler = EvaluationBatchSampler(len(examples), 8, seed=seed, rank=rank, world_size=world_size)
        for batch in DataLoader(examples, batch_sampler=sampler):
            probabilities, severities = router.judge(batch["image"])
            yield from zip(
                probabilities, severities.tolist(), batch["label"].tolist(), batch["severity"].tolist(), strict=True
            )


def validate(
    router: Router, clear: PreparedPhotographs, presets: list[str], draws: int, accelerator: Accelerator
) -> Validation:
    """Accuracy, overall and by class, and the error of the severity; the presets at their own severities."""
    size = router.settings.image_size
    scores = []
    for draw_example in [DrawExample(size, clear_share=1.0), *(DrawExample(size, (preset,)) for preset in presets)]:
        examples = RoutingExamples(clear, draw_example)
        found = judgements(
            router, examples, range(draws), rank=accelerator.process_index, world_size=accelerator.num_processes
        )
        for probabilities, severity, label, true_severity in found:
            hit = float(int(probabilities.argmax()) == label)
            scores.append(
                {"accuracy": hit, f"accuracy {CLASSES[label]}": hit, "severity error": abs(severity - true_severity)}
            )
    return Validation(mean_scores(accelerator, scores))


def set_threshold(router: Router, clear: PreparedPhotographs, decision: RouterDecision) -> Router:
    """The router with a threshold that gives an adaptor to no more views of clear photographs than allowed."""
    view = CameraVariation(smallest_crop=decision.smallest_crop, tone=0.0, color=0.0)
    views = RoutingExamples(clear, DrawExample(router.settings.image_size, clear_share=1.0, variation=view))
    found = judgements(router, views, range(decision.views))
    probabilities = np.array([float(probabilities[CLASSES.index(CLEAR)]) for probabilities, *_ in found])
    threshold = clear_threshold(probabilities, decision.largest_touched_share)
    return Router(router.network, dataclasses.replace(router.settings, clear_threshold=threshold))


def main(config: TrainRouterConfig) -> None:
    accelerator = new_accelerator(config.training, config.tracking, config.output_folder)
    settings = RouterSettings(
        prepared_size=config.prepared_size,
        image_size=config.image_size,
        channels=tuple(config.channels),
        adaptors=config.decision.adaptors,
    )
    start_run(accelerator, config, config.output_folder, config.tracking)
    with accelerator.main_process_first():
        clear = PreparedPhotographs(
            open_sources(config.train), config.prepared_size, largest_broken_share=config.largest_broken_share
        )
        clear_validation = PreparedPhotographs(open_sources(config.validation), config.prepared_size)
        # The threshold would be set on photographs that the network knows.
        require_other_photographs(clear, clear_validation)
    examples = RoutingExamples(
        clear,
        DrawExample(
            config.image_size,
            tuple(config.presets),
            clear_share=config.clear_share,
            severity=(config.severity[0], config.severity[-1]),
            variation=CameraVariation(),
        ),
    )
    set_seed(config.training.seed)
    router = Router(build_network(settings).to(accelerator.device), settings)
    count = sum(parameter.numel() for parameter in router.network.parameters())
    accelerator.print(f"{count:,} trainable parameters")
    validation = train(
        RoutingStep(router.network, config.severity_weight),
        name="router",
        accelerator=accelerator,
        settings=config.training,
        batches_from=lambda first: training_batches(
            examples,
            config.training.batch_size,
            steps=config.training.steps * config.training.gradient_accumulation,
            seed=config.training.seed,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
            first_step=first,
            workers=config.training.workers,
        ),
        validate=lambda: validate(router, clear_validation, config.presets, config.validation_draws, accelerator),
        output_folder=config.output_folder,
    )
    if accelerator.is_main_process:
        router = set_threshold(router, clear_validation, config.decision)
        decision = config.decision
        metadata = RouterMetadata(
            data_sets=config.card.data_sets,
            presets=config.presets,
            severity=config.severity,
            photographs_seen=len(clear),
            training_steps=validation.step,
            seed=config.training.seed,
            recipe=f"recipes/train_router.py of retina_adapt {__version__}",
            metrics=validation.scores,
            protocol=f"{len(clear_validation)} clear validation photographs, as they are and degraded by each preset "
            f"at its own severities, {config.validation_draws} draws each: how often the class of highest probability "
            "is right, and the mean absolute error of the severity. The threshold then leaves at most "
            f"{decision.largest_touched_share:.0%} of the views of the clear ones ({decision.views} each: crops from "
            f"{decision.smallest_crop:g} of the frame on, mirrored and turned) to an adaptor.",
            license=config.card.license,
            intended_use=config.card.intended_use,
        )
        folder = Path(config.output_folder) / "router"
        save_router(router, folder, metadata)
        accelerator.print(f"{folder}: threshold {router.settings.clear_threshold:.4f}, {validation.scores}")
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    run_recipe(main, TrainRouterConfig, description=__doc__)
