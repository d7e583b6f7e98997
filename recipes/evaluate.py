"""Evaluation: enhance held-out photographs, and compare them with clear ones of the same eyes.

    python recipes/evaluate.py --config recipes/configs/evaluate_pairs.yaml
    python recipes/evaluate.py --config recipes/configs/evaluate_nano.yaml

The first command takes pairs with real faults; the second degrades clear photographs. Scores the degraded input, CLAHE
as the classical baseline, and each adaptor. Prints a table, and writes `results.json`, `results.md` and a picture sheet
to the output folder.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import tqdm

from retina_adapt.adaptors import describe_adaptor
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.backbones import load_backbone
from retina_adapt.configuration import ConfigurationError, store_configuration
from retina_adapt.data import EvaluationBatchSampler, PairSource, PhotographSource, open_pairs
from retina_adapt.degradations import draw_degradation
from retina_adapt.embedded import DEFAULT_BACKBONE, adaptor_folder, backbone_folder
from retina_adapt.enhancement import EnhancementMode, Enhancer, enhance_frames
from retina_adapt.evaluation import (
    EvaluationReport,
    PictureRow,
    ReportRow,
    apply_clahe,
    score_image,
    write_picture_sheet,
)
from retina_adapt.training import run_recipe


@dataclass
class EvaluatedDataSet:
    """Held-out clear photographs.

    Args:
        name: its name in the table.
        photographs: where they come from.
    """

    name: str
    photographs: PhotographSource


@dataclass
class EvaluatedDegradation:
    """A degradation and the adaptors that are to undo it.

    Args:
        preset: name of the degradation.
        adaptors: embedded names or adaptor folders.
        severity: lowest and highest severity; null takes the preset's own range.
        draws: how often each photograph is degraded; what a preset of many faults does varies too much for a single
            draw.
    """

    preset: str
    adaptors: list[str]
    severity: list[float] | None = None
    draws: int = 1

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ConfigurationError(f"degradations: draws of {self.preset} is {self.draws}; it must be at least 1")
        if len(set(self.adaptors)) < len(self.adaptors):
            raise ConfigurationError(f"degradations: an adaptor of {self.preset} is listed more than once")
        for severity in self.severity or (None,):
            # Raises for unknown presets and severities out of range now, not hours into the work.
            draw_degradation(self.preset, seed=0, severity=severity)


@dataclass
class EvaluatedPairs:
    """Held-out pairs with real faults and the adaptors that are to undo them.

    Args:
        name: its name in the table.
        pairs: where they come from: two folders, or two columns of a data set.
        adaptors: embedded names or adaptor folders.
    """

    name: str
    pairs: PairSource
    adaptors: list[str]

    def __post_init__(self) -> None:
        if self.pairs.clear:
            raise ConfigurationError(
                f"pairs: {self.name} has clear photographs; name these in data_sets, and their faults in degradations"
            )
        if len(set(self.adaptors)) < len(self.adaptors):
            raise ConfigurationError(f"pairs: an adaptor of {self.name} is listed more than once")


@dataclass
class EvaluateConfig:
    """Everything that recipes/evaluate.py reads.

    Args:
        output_folder: where the table, JSON and picture sheet go.
        data_sets: held-out clear photographs.
        degradations: how they are degraded, and the adaptors that are to undo it.
        pairs: held-out pairs with real faults, in addition to these or in their place.
        backbone: name of an embedded backbone, or a backbone folder.
        modes: fast, diffusion, or both.
        sampling_steps: number of steps in the mode diffusion.
        seed: seed of the degradations and the diffusion noise; further draws take the seeds after it.
        pictures: how many photographs of each data set and degradation, and of each entry of `pairs`, are on the
            picture sheet.
    """

    output_folder: str
    data_sets: list[EvaluatedDataSet] = field(default_factory=list)
    degradations: list[EvaluatedDegradation] = field(default_factory=list)
    pairs: list[EvaluatedPairs] = field(default_factory=list)
    backbone: str = DEFAULT_BACKBONE
    modes: list[EnhancementMode] = field(default_factory=lambda: ["fast", "diffusion"])
    sampling_steps: int = 4
    seed: int = 0
    pictures: int = 2

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigurationError(f"seed is {self.seed}; it must not be negative")
        if bool(self.data_sets) != bool(self.degradations):
            raise ConfigurationError("data_sets and degradations go together: give both")
        if not (self.data_sets or self.pairs):
            raise ConfigurationError("give photographs to evaluate on: pairs, or data_sets and degradations")
        for key, entries in (("data_sets", self.data_sets), ("pairs", self.pairs)):
            names = [entry.name for entry in entries]
            if len(set(names)) < len(names):
                raise ConfigurationError(f"{key}: the names {', '.join(names)} must differ, since they name the rows")
        labels = [label_of(degradation) for degradation in self.degradations]
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            raise ConfigurationError(
                f"degradations: {', '.join(repeated)} is listed more than once; give all of its adaptors in one entry"
            )


@dataclass(frozen=True)
class Comparison:
    """The pairs of one data set with one fault, and the adaptors to compare on them."""

    data_set: str
    degradation: str
    pairs: PairSource
    adaptors: list[str]
    draws: int = 1


def comparisons_of(config: EvaluateConfig) -> list[Comparison]:
    """All comparisons, in the order of the table."""
    simulated = [
        Comparison(
            data_set.name,
            label_of(degradation),
            PairSource(clear=[data_set.photographs], degradation=degradation.preset, severity=degradation.severity),
            degradation.adaptors,
            degradation.draws,
        )
        for data_set in config.data_sets
        for degradation in config.degradations
    ]
    return simulated + [Comparison(entry.name, "real", entry.pairs, entry.adaptors) for entry in config.pairs]


def labels_of(names: dict[str, str]) -> dict[str, str]:
    """What tables call each adaptor: its name, or its path if others share the name; `names` maps paths to names."""
    taken = list(names.values())
    return {adaptor: name if taken.count(name) == 1 else adaptor for adaptor, name in names.items()}


def short_names(names: Sequence[str]) -> list[str]:
    """Photographs' names relative to the folder that holds them all, which tells apart `left.png` of two patients."""
    try:
        common = os.path.commonpath([Path(name).parent for name in names])
    except ValueError:
        # Files and rows together, or files on two drives, have no folder in common.
        return list(names)
    return [os.path.relpath(name, common) for name in names]


def label_of(degradation: EvaluatedDegradation) -> str:
    """What tables call a degradation: its preset, and the severity unless it is the preset's own."""
    if degradation.severity is None:
        return degradation.preset
    return f"{degradation.preset} {'-'.join(f'{severity:g}' for severity in degradation.severity)}"


def enhance(
    enhancer: Enhancer, low: torch.Tensor, mode: EnhancementMode, steps: int, seed: int
) -> tuple[np.ndarray, float]:
    """The enhanced frame as an array (height, width, channels), and the seconds it took."""
    started = time.perf_counter()
    device = enhancer.backbone.device
    enhanced = enhance_frames(enhancer.backbone, low[None].to(device), mode=mode, steps=steps, seeds=[seed])
    return enhanced[0].permute(1, 2, 0).cpu().numpy(), time.perf_counter() - started


def column_title(names: Sequence[str]) -> str:
    """The title of a column with one method per degradation: the method's name, or what the names have in common."""
    return names[0] if len(set(names)) == 1 else " / ".join(sorted({name.split(", ")[-1] for name in names}))


def main(config: EvaluateConfig) -> None:
    comparisons = comparisons_of(config)
    if config.pictures and len({len(comparison.adaptors) for comparison in comparisons}) > 1:
        raise ConfigurationError(
            "give each entry of degradations and pairs the same number of adaptors, which are the columns of the "
            "sheet, or set pictures to 0"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Adaptors of several kinds cannot be loaded together.
    enhancers: dict[str, Enhancer] = {}
    adaptors = dict.fromkeys(adaptor for comparison in comparisons for adaptor in comparison.adaptors)
    described = {adaptor: describe_adaptor(adaptor_folder(adaptor)) for adaptor in adaptors}
    labels = labels_of({adaptor: description.metadata.name for adaptor, description in described.items()})
    loaded: dict[str, tuple[Enhancer, str]] = {}
    for position, (adaptor, description) in enumerate(described.items()):
        kind = description.kind
        if kind not in enhancers:
            enhancers[kind] = Enhancer.from_pretrained(config.backbone, device=device)
        loaded[adaptor] = enhancers[kind], enhancers[kind].load_adaptor(adaptor, name=f"adaptor-{position}")
    settings = load_backbone(backbone_folder(config.backbone)).settings
    size, channels = settings.image_size, settings.image_channels
    # All of them first, so that a mistyped folder is reported now, not hours into the work.
    opened = [open_pairs(comparison.pairs, size) for comparison in comparisons]
    for comparison, pairs in zip(comparisons, opened, strict=True):
        if (found := pairs.prepared[0].image.shape[2]) != channels:
            raise ConfigurationError(
                f"{comparison.data_set}: its photographs have {found} channels, the backbone takes {channels}"
            )
    folder = Path(config.output_folder)
    store_configuration(config, folder / "config.yaml")
    report = EvaluationReport(frame_size=size)
    sheet_rows: list[PictureRow] = []
    methods: list[list[str]] = []
    for comparison, pairs in zip(comparisons, opened, strict=True):
        names = short_names(pairs.prepared.names)
        seeds = range(config.seed, config.seed + comparison.draws)
        draws = [draw for seed in seeds for (draw,) in EvaluationBatchSampler(len(pairs), 1, seed=seed)]
        title = f"{comparison.data_set}, {comparison.degradation}"
        for position, draw in enumerate(tqdm(draws, desc=title)):
            item = pairs[draw]
            low, high = (item[key].permute(1, 2, 0).numpy() for key in ("low", "high"))
            mask = item["mask"][0].numpy()
            started = time.perf_counter()
            clahe = apply_clahe(low, mask)
            results = {"degraded": (low, None), "CLAHE": (clahe, time.perf_counter() - started)}
            for adaptor in comparison.adaptors:
                enhancer, name = loaded[adaptor]
                enhancer.set_adaptor(name)
                for mode in config.modes:
                    results[f"{labels[adaptor]}, {mode}"] = enhance(
                        enhancer, item["low"], mode, config.sampling_steps, draw.seed % 2**31
                    )
            scores = {method: score_image(picture, high, mask) for method, (picture, _) in results.items()}
            photograph = names[draw.index]
            for method, (_, seconds) in results.items():
                told = comparison.data_set, comparison.degradation, method, photograph
                report.add(ReportRow(*told, scores[method], seconds))
            if position == 0:
                methods.append(list(results))
            if position < min(config.pictures, len(pairs)):
                pictures = [np.where(mask[..., None], picture, 0) for picture, _ in results.values()]
                sheet_rows.append(
                    PictureRow(
                        label=f"{title} {photograph}",
                        pictures=[*pictures, np.where(mask[..., None], high, 0)],
                        scores=[*scores.values(), None],
                    )
                )
    report.to_json(folder / "results.json")
    with write_file_atomically(folder / "results.md") as temporary:
        temporary.write_text(report.to_markdown() + "\n", encoding="utf-8")
    if sheet_rows:
        columns = [column_title(column) for column in zip(*methods, strict=True)]
        write_picture_sheet(folder / "sheet.png", sheet_rows, [*columns, "target"])
    report.print_table()
    print(f"Written to {folder}")


if __name__ == "__main__":
    run_recipe(main, EvaluateConfig, description=__doc__)
