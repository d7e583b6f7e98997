"""One cell of the comparison: an arm trained on some pairs with one seed, and scored on the test photographs."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from accelerate.utils import set_seed
from adapt import AdaptationLossWeights
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.claims.arms import Arm, Stage, build_arm
from retina_adapt.adaptors import AdaptorSettings
from retina_adapt.backbones import load_backbone
from retina_adapt.data import (
    DegradedPairs,
    Draw,
    Flips,
    PairSource,
    PhotographSource,
    TrainingBatchSampler,
    open_pairs,
)
from retina_adapt.data.draws import seed_of
from retina_adapt.embedded import backbone_folder
from retina_adapt.evaluation import score_image, vessel_agreement
from retina_adapt.training.schedule import learning_rate_factor

GRADIENT_CLIP = 1.0
WARMUP_STEPS = 20
FIXED_DRAWS = 1
TEST_SEED = 1
ALL_PAIRS = 0


@dataclass(frozen=True)
class Training:
    """What distinguishes one training of the comparison from another.

    Attributes:
        arm: a name that `build_arm` knows.
        degradation: the preset that makes pairs of clear photographs.
        pairs: fixed pairs to train on; 0 is every clear photograph, degraded anew for every draw.
        seed: of weights, order, and which photographs are taken.
        steps, batch_size, learning_rate: of the optimisation; half a cosine after a warm-up of 20 steps.
        data_sets: names of the data sets to train on.
        test_sets: names of the data sets to test on.
        adaptor: the adaptor's settings where the arm has one, those that differ from the configuration's.
        losses: weights that differ from the recipe's.
        backbone: embedded name or folder.
        curve: optimiser steps after which the validation photographs are scored.
    """

    arm: str
    degradation: str
    pairs: int
    seed: int
    steps: int
    batch_size: int
    learning_rate: float
    data_sets: tuple[str, ...]
    test_sets: tuple[str, ...]
    adaptor: tuple[tuple[str, object], ...] = ()
    losses: tuple[tuple[str, float], ...] = ()
    backbone: str = "nano"
    curve: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """A file name that no other training has."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.arm}-{self.degradation}-{self.pairs or 'all'}-{self.seed}-{digest}".replace(" ", "_").replace(
            ",", ""
        )


@dataclass
class DataSet:
    """Clear photographs of one data set.

    Args:
        name: as it stands in tables.
        path: its folder.
        where: ranges that columns of its metadata must lie in.
    """

    name: str
    path: str
    where: dict[str, list[float]] = field(default_factory=dict)

    def source(self, split: str) -> PhotographSource:
        return PhotographSource(path=self.path, split=split, where=self.where)


class FixedPairs(Dataset):
    """The first so many pairs of a seeded order of the photographs, each degraded once and for all.

    A clinic that has ten pairs has ten, not ten photographs that can be degraded anew; only flips differ from draw to
    draw. Where there are fewer photographs than pairs, photographs return with another degradation.
    """

    def __init__(self, pairs: DegradedPairs, count: int, seed: int, flips: Flips) -> None:
        order = np.random.default_rng(seed).permutation(len(pairs))
        self.draws = [
            Draw(int(order[position % len(order)]), seed_of(seed, position, FIXED_DRAWS)) for position in range(count)
        ]
        self.pairs = pairs
        self.flips = flips

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        item = self.pairs[self.draws[draw.index]]
        images = [item[key].permute(1, 2, 0).numpy() for key in ("low", "high", "mask")]
        low, high, mask = (
            torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
            for image in self.flips.apply(draw.seed, *images)
        )
        return {"low": low, "high": high, "mask": mask, "seed": torch.tensor(draw.seed)}


def run_training(training: Training, data_sets: dict[str, DataSet], settings: AdaptorSettings) -> dict:
    """Train and score; what is returned goes into the benchmark's JSON."""
    set_seed(training.seed)
    backbone = load_backbone(backbone_folder(training.backbone)).requires_grad_(False)
    size = backbone.settings.image_size
    adaptor = AdaptorSettings(**(asdict(settings) | dict(training.adaptor)))
    weights = AdaptationLossWeights(**dict(training.losses))
    total = sum(parameter.numel() for parameter in backbone.parameters())
    arm = build_arm(training.arm, backbone, adaptor, weights)
    flips = Flips()
    clear = [data_sets[name].source("train") for name in training.data_sets]
    source = PairSource(clear=clear, degradation=training.degradation)
    if training.pairs == ALL_PAIRS:
        pairs: Dataset = open_pairs(source, size, flips=flips)
    else:
        pairs = FixedPairs(open_pairs(source, size), training.pairs, training.seed, flips)
    validation = open_pairs(
        PairSource(
            clear=[data_sets[name].source("validation") for name in training.data_sets],
            degradation=training.degradation,
        ),
        size,
    )
    result: dict = {
        "training": asdict(training),
        "trainable_parameters": arm.trainable_parameters,
        "backbone_parameters": total,
        "curve": [],
        "scores": {},
    }
    result["seconds"] = _fit(arm, pairs, training, validation, result["curve"])
    result["validation"] = score_arm(arm.enhance, validation, structure=False)["mean"]
    for name in training.test_sets:
        test = open_pairs(PairSource(clear=[data_sets[name].source("test")], degradation=training.degradation), size)
        result["scores"][name] = score_arm(arm.enhance, test, structure=training.arm.startswith("ours"))["mean"]
    return result


@torch.no_grad()
def score_arm(enhance, pairs: DegradedPairs, *, structure: bool = True) -> dict:
    """Scores against the clear photograph, before and after, and of the clear photograph itself when enhanced.

    Returns:
        "images": by photograph, "mean": of these, each by measure. The degradations are the same for every arm.
    """
    images = []
    for index in range(len(pairs)):
        item = pairs[Draw(index, seed_of(TEST_SEED, index))]
        low, high = item["low"][None], item["high"][None]
        mask = item["mask"][0].numpy()
        pictures = {"enhanced": enhance(low), "degraded": low, "clear_enhanced": enhance(high)}
        # A training that diverged shall have its bad score, not end the benchmark.
        arrays = {
            key: tensor[0].nan_to_num(0.0).clamp(0, 1).permute(1, 2, 0).numpy() for key, tensor in pictures.items()
        }
        target = item["high"].permute(1, 2, 0).numpy()
        found: dict[str, float] = {}
        for key, picture in arrays.items():
            scores = score_image(picture, target, mask)
            found |= {f"psnr_{key}": scores.psnr, f"ssim_{key}": scores.ssim}
            if structure:
                vessels = vessel_agreement(picture, target, mask)
                found |= {f"kept_{key}": vessels.kept, f"invented_{key}": vessels.invented}
        images.append(found)
    return {"images": images, "mean": {key: float(np.mean([found[key] for found in images])) for key in images[0]}}


def _fit(arm: Arm, pairs: Dataset, training: Training, validation: DegradedPairs, curve: list[dict]) -> float:
    """Train every stage; seconds without the time that the curve's scores take."""
    seconds, done = 0.0, 0
    for stage in arm.stages:
        for other in arm.stages:
            for parameter in other.parameters:
                parameter.requires_grad_(other is stage)
        steps = round(training.steps * stage.share_of_steps)
        optimizer = torch.optim.AdamW(stage.parameters, lr=training.learning_rate, weight_decay=0.0)
        started = time.perf_counter()
        for step, batch in enumerate(_batches(pairs, training, steps)):
            factor = learning_rate_factor(step, steps=steps, warmup_steps=min(WARMUP_STEPS, steps // 5))
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * factor
            _optimize(stage, optimizer, batch)
            done += 1
            if done in training.curve:
                seconds += time.perf_counter() - started
                scores = score_arm(arm.enhance, validation, structure=False)["mean"]
                curve.append({"step": done, "seconds": seconds, **scores})
                started = time.perf_counter()
        seconds += time.perf_counter() - started
    return seconds


def _optimize(stage: Stage, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]) -> None:
    stage.step.train()
    optimizer.zero_grad()
    stage.step(batch)["loss"].backward()
    torch.nn.utils.clip_grad_norm_(stage.parameters, GRADIENT_CLIP)
    optimizer.step()
    stage.step.eval()


def _batches(pairs: Dataset, training: Training, steps: int) -> Iterator[dict[str, Tensor]]:
    sampler = TrainingBatchSampler(len(pairs), training.batch_size, steps=steps, seed=training.seed)
    return iter(DataLoader(pairs, batch_sampler=sampler))
