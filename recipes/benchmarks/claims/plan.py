"""Which trainings answer which question."""

from dataclasses import dataclass, field, replace

from benchmarks.claims.trainings import ALL_PAIRS, DataSet, Training
from retina_adapt.adaptors import AdaptorSettings


@dataclass
class Variant:
    """An adaptor or a loss that differs from the configuration's own in some values.

    Args:
        name: as it stands in tables.
        arm: a name that `build_arm` knows.
        adaptor: settings that differ.
        losses: weights that differ.
        hook_groups: where adaptors sit, if elsewhere.
    """

    name: str
    arm: str = "ours"
    adaptor: dict[str, int | bool | str] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    hook_groups: list[str] = field(default_factory=list)


@dataclass
class ClaimsConfig:
    """Everything that recipes/benchmark.py claims reads.

    Args:
        output_folder: where each training's result is kept; trainings found there are not run again.
        results: JSON file that all results are gathered in.
        document: Markdown file whose section between the claims' marks is written anew.
        figures: folder for the plots.
        data_sets: clear photographs.
        adaptor: our adaptor.
        arms: to compare, in the tables' order.
        learning_rates: of each arm, chosen on validation photographs.
        default_learning_rate: of every arm that `learning_rates` does not name.
        seeds: of each arm; tables give mean and standard deviation.
        degradation: for the questions that ask about one.
        degradations: for the question of degradations and data sets, and of unseen cameras.
        pairs_arms: arms that the question of pairs compares.
        pair_counts: for that question; all pairs are added.
        steps, batch_size: of each training.
        long_arms: arms that the question of convergence trains for `long_steps` besides.
        long_steps: optimiser steps of these.
        curve: steps after which validation is scored, for the question of convergence.
        sizes: for the question of parameters.
        ablations: variants of our adaptor and its losses.
        backbones: other backbones' folders, by the name in the table.
        modality: photographs of another modality.
        modality_degradations: what is done to them.
        only_document: train nothing; write results and document from the trainings there are.
    """

    output_folder: str
    results: str
    document: str
    figures: str
    data_sets: list[DataSet]
    adaptor: AdaptorSettings = field(default_factory=AdaptorSettings)
    arms: list[str] = field(default_factory=lambda: ["ours", "full fine-tuning", "scratch"])
    learning_rates: dict[str, float] = field(default_factory=dict)
    default_learning_rate: float = 2.0e-3
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    degradation: str = "light"
    degradations: list[str] = field(default_factory=list)
    pairs_arms: list[str] = field(default_factory=list)
    pair_counts: list[int] = field(default_factory=list)
    steps: int = 150
    batch_size: int = 4
    long_arms: list[str] = field(default_factory=list)
    long_steps: int = 1500
    curve: list[int] = field(default_factory=list)
    sizes: list[Variant] = field(default_factory=list)
    ablations: list[Variant] = field(default_factory=list)
    backbones: dict[str, str] = field(default_factory=dict)
    modality: DataSet | None = None
    modality_degradations: list[str] = field(default_factory=list)
    only_document: bool = False


def plan_trainings(config: ClaimsConfig) -> dict[str, dict[str, list[Training]]]:
    """For each question its rows, and for each row the trainings whose mean it shows.

    One training may serve several questions. The questions come in the order in which they should be run.
    """
    names = tuple(data_set.name for data_set in config.data_sets)

    def trainings(arm: str, pairs: int = ALL_PAIRS, **changes: object) -> list[Training]:
        training = Training(
            arm=arm,
            degradation=config.degradation,
            pairs=pairs,
            seed=0,
            steps=config.steps,
            batch_size=config.batch_size,
            learning_rate=config.learning_rates.get(arm, config.default_learning_rate),
            data_sets=names,
            test_sets=names,
            curve=tuple(config.curve) if pairs == ALL_PAIRS else (),
        )
        return [replace(training, seed=seed, **changes) for seed in config.seeds]

    def variants(listed: list[Variant]) -> dict[str, list[Training]]:
        return {
            variant.name: trainings(variant.arm, adaptor=_overrides(variant), losses=tuple(variant.losses.items()))
            for variant in listed
        }

    questions: dict[str, dict[str, list[Training]]] = {
        "arms": {arm: trainings(arm) for arm in config.arms},
        "degradations": {
            degradation: trainings("ours", degradation=degradation) for degradation in config.degradations
        },
        "pairs": {
            f"{arm} | {pairs}": trainings(arm, pairs) for pairs in config.pair_counts for arm in config.pairs_arms
        },
        "unseen": {
            f"{degradation} | {left_out}": trainings(
                "ours",
                degradation=degradation,
                data_sets=tuple(name for name in names if name != left_out),
                test_sets=(left_out,),
            )[:1]
            for degradation in config.degradations
            for left_out in names
            if len(names) > 1
        },
        "parameters": variants(config.sizes),
        "ablations": variants(config.ablations),
        "convergence": {
            arm: trainings(
                arm,
                steps=config.long_steps,
                curve=tuple(step * config.long_steps // config.steps for step in config.curve),
            )
            for arm in config.long_arms
        },
        "backbones": {name: trainings("ours", backbone=folder) for name, folder in config.backbones.items()},
    }
    if config.modality is not None:
        questions["modality"] = {
            degradation: trainings(
                "ours",
                degradation=degradation,
                data_sets=(config.modality.name,),
                test_sets=(config.modality.name,),
            )
            for degradation in config.modality_degradations
        }
    return questions


def _overrides(variant: Variant) -> tuple[tuple[str, object], ...]:
    overrides = dict(variant.adaptor)
    if variant.hook_groups:
        overrides["hook_groups"] = tuple(variant.hook_groups)
    return tuple(overrides.items())
