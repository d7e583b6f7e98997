"""One cell of the comparison: an arm trained on some pairs with one seed, and scored on the test photographs."""

import hashlib
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import torch
from accelerate.utils import set_seed
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.claims.arms import Arm, Stage, build_arm
from benchmarks.claims.pairs import DataSet, FixedPairs, degraded
from benchmarks.claims.scoring import mean_psnr, score_pairs
from retina_adapt.adaptation import AdaptationLossWeights
from retina_adapt.adaptors import AdaptorSettings
from retina_adapt.backbones import load_backbone
from retina_adapt.data import DegradedPairs, Flips, PairSource, TrainingBatchSampler, open_pairs
from retina_adapt.embedded import UnknownModelError, backbone_folder
from retina_adapt.training.schedule import learning_rate_factor

GRADIENT_CLIP = 1.0
WARMUP_STEPS = 5
ALL = 0
# Fitting goes on with other draws than those that the training began with.
FIT_SEED = 1000


@dataclass(frozen=True)
class Fit:
    """How a trained arm goes on with one data set alone.

    Attributes:
        steps, learning_rate: of the optimisation; all else is as in the training, but for the variation of tones and
            colours, which there is none of.
        photographs: numbers of clear training photographs to do so with, each from where the training has come; 0 is
            all.
    """

    steps: int
    learning_rate: float
    photographs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Training:
    """Everything that a training's result depends on, but for the photographs, the backbone and this package's code.

    Attributes:
        arm: a name that `build_arm` knows.
        degradation: the preset that makes pairs of clear photographs.
        pairs: fixed pairs to train on; 0 is every clear photograph, degraded anew for every draw.
        seed: of weights, order, and which photographs are taken.
        steps, batch_size, learning_rate, learning_rate_decay: of the optimisation, as in `TrainingSettings`.
        small_frames_share: the first share of the autoencoder's steps, which see frames of half the size.
        clear_share: how often a photograph is trained on as it is, clear.
        tone_variation, color_variation: of photographs before they are degraded anew, see `PairSource`; fixed pairs
            stay as they are.
        data_sets: to train on.
        test_sets: to test on.
        draws: how often each test photograph is degraded.
        adaptor, losses: as `arm_settings` gives them.
        backbone: embedded name or folder.
        curve: optimiser steps after which the validation photographs are scored.
        fit: how the arm goes on with each test set by itself, to be scored again.
    """

    arm: str
    degradation: str
    pairs: int
    seed: int
    steps: int
    batch_size: int
    learning_rate: float
    learning_rate_decay: str
    small_frames_share: float
    clear_share: float
    tone_variation: float
    color_variation: float
    data_sets: tuple[DataSet, ...]
    test_sets: tuple[DataSet, ...]
    draws: int
    adaptor: AdaptorSettings | None
    losses: AdaptationLossWeights
    backbone: str
    curve: tuple[int, ...] = ()
    fit: Fit | None = None

    @property
    def key(self) -> str:
        """A file name that no other training has."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]
        name = f"{self.arm}-{self.degradation}-{self.pairs or 'all'}-{self.seed}-{digest}"
        return name.replace(" ", "_").replace(",", "")

    @property
    def has_backbone(self) -> bool:
        """Whether its backbone is there."""
        try:
            backbone_folder(self.backbone)
        except UnknownModelError:
            return False
        return True


def run_training(training: Training) -> dict:
    """Train and score; what is returned goes into the benchmark's JSON."""
    set_seed(training.seed)
    backbone = load_backbone(backbone_folder(training.backbone)).requires_grad_(False)
    size = backbone.settings.image_size
    result: dict = {
        "training": asdict(training),
        "torch": torch.__version__.split("+")[0],
        "machine": platform.machine(),
        "backbone_fingerprint": backbone.fingerprint(),
        "backbone_parameters": sum(parameter.numel() for parameter in backbone.parameters()),
    }
    arm = build_arm(training.arm, backbone, training.adaptor, training.losses)
    result["trainable_parameters"] = arm.trainable_parameters
    result["curve"], result["seconds"] = _train(arm, training, size)
    result["validation_psnr"] = mean_psnr(arm.enhance, _validation_pairs(training, size))
    result["scores"] = {each.name: _score(arm, each, training, size) for each in training.test_sets}
    if training.fit is not None:
        result["fitted"] = {
            str(count): _scores_fitted(arm, training, size, count) for count in training.fit.photographs
        }
    return result


def _score(arm: Arm, data_set: DataSet, training: Training, size: int) -> dict[str, float]:
    return score_pairs(arm.enhance, degraded([data_set], "test", training.degradation, size), draws=training.draws)


def _scores_fitted(arm: Arm, training: Training, size: int, photographs: int) -> dict[str, dict[str, float]]:
    """The scores on each test set after going on with its own training photographs; the arm stays as it was."""
    parameters = [parameter for stage in arm.stages for parameter in stage.parameters]
    learned = [parameter.detach().clone() for parameter in parameters]
    scores = {}
    for data_set in training.test_sets:
        own = replace(
            training,
            seed=FIT_SEED + training.seed,
            steps=training.fit.steps,
            learning_rate=training.fit.learning_rate,
            tone_variation=0.0,
            color_variation=0.0,
            data_sets=(data_set,),
            curve=(),
        )
        _train(arm, own, size, photographs)
        scores[data_set.name] = _score(arm, data_set, training, size)
        with torch.no_grad():
            for parameter, value in zip(parameters, learned, strict=True):
                parameter.copy_(value)
    return scores


def _training_pairs(training: Training, size: int, photographs: int) -> Dataset:
    clear = [replace(each.source("train"), limit=photographs or None) for each in training.data_sets]
    flips = Flips()
    if training.pairs == ALL:
        source = PairSource(
            clear=clear,
            degradation=training.degradation,
            clear_share=training.clear_share,
            tone_variation=training.tone_variation,
            color_variation=training.color_variation,
        )
        return open_pairs(source, size, flips=flips)
    pairs = degraded(training.data_sets, "train", training.degradation, size)
    return FixedPairs(pairs, training.pairs, training.seed, flips, clear_share=training.clear_share)


def _validation_pairs(training: Training, size: int) -> DegradedPairs:
    return degraded(training.data_sets, "validation", training.degradation, size)


def _train(arm: Arm, training: Training, size: int, photographs: int = ALL) -> tuple[list[dict], float]:
    """Train every stage; the curve, and seconds of processor time without those that the curve's scores take.

    Args:
        photographs: number of clear photographs of each data set to train on; 0 is all.
    """
    whole, small = (_training_pairs(training, side, photographs) for side in (size, size // 2))
    validation = _validation_pairs(training, size)
    curve: list[dict] = []
    seconds, done = 0.0, 0
    for stage in arm.stages:
        arm.train_stage(stage)
        steps = round(training.steps * stage.share_of_steps)
        optimizer = torch.optim.AdamW(stage.parameters, lr=training.learning_rate, weight_decay=0.0)
        small_steps = round(training.small_frames_share * steps) if stage.begins_on_small_frames else 0
        started = time.process_time()
        for step, batch in enumerate(_batches([(small, small_steps), (whole, steps)], training)):
            factor = learning_rate_factor(
                step, steps=steps, warmup_steps=WARMUP_STEPS, decay=training.learning_rate_decay
            )
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * factor
            _optimize(stage, optimizer, batch)
            done += 1
            if done in training.curve:
                seconds += time.process_time() - started
                curve.append({"step": done, "seconds": seconds, "psnr": mean_psnr(arm.enhance, validation)})
                started = time.process_time()
        seconds += time.process_time() - started
    return curve, seconds


def _optimize(stage: Stage, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]) -> None:
    stage.step.train()
    optimizer.zero_grad()
    stage.step(batch)["loss"].backward()
    torch.nn.utils.clip_grad_norm_(stage.parameters, GRADIENT_CLIP)
    optimizer.step()
    stage.step.eval()


def _batches(phases: list[tuple[Dataset, int]], training: Training) -> Iterator[dict[str, Tensor]]:
    """Each phase's pairs until its last step."""
    first = 0
    for pairs, last in phases:
        sampler = TrainingBatchSampler(
            len(pairs), training.batch_size, steps=last, seed=training.seed, first_step=first
        )
        yield from DataLoader(pairs, batch_sampler=sampler)
        first = last
