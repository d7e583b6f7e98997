"""Which trainings answer which question."""

from dataclasses import replace

from benchmarks.claims.arms import arm_settings
from benchmarks.claims.config import OURS, ClaimsConfig, Variant
from benchmarks.claims.trainings import ALL, Fit, Training

Rows = dict[str, list[Training]]

AS_THE_OTHERS = ", trained as the others"
"""Ends the name of a row whose degradation has values of its own and is trained without them."""

LONGER = 10
"""How many times as long as the others the long trainings of the questions of convergence and pairs are."""


def long_suffix(config: ClaimsConfig) -> str:
    """Ends the name of an arm that is trained longer."""
    return f", {LONGER * config.steps} steps"


def learning_rate_of(config: ClaimsConfig, arm: str, *, is_long: bool = False) -> float:
    """The rate that an arm is trained with."""
    rate = config.learning_rates.get(arm, config.default_learning_rate)
    return config.learning_rates.get(f"{arm}{long_suffix(config)}", rate) if is_long else rate


def plan_trainings(config: ClaimsConfig) -> dict[str, Rows]:
    """For each question its rows, and for each row the trainings whose mean it shows.

    One training may serve several questions. The questions come in the order in which they should be run, those that
    tell most first.
    """
    sets = tuple(config.data_sets)

    def trainings(question: str, arm: str, variant: Variant | None = None, **changes: object) -> list[Training]:
        """One for each seed of the question; those that are as the arm itself is have a curve."""
        variant = variant or Variant(arm, arm)
        groups = {"hook_groups": variant.hook_groups} if variant.hook_groups else {}
        adaptor, losses = arm_settings(
            arm, replace(config.adaptor, **variant.adaptor, **groups), replace(config.losses, **variant.losses)
        )
        training = Training(
            arm=arm,
            degradation=config.degradation,
            pairs=ALL,
            seed=0,
            steps=config.steps,
            batch_size=config.batch_size,
            learning_rate=learning_rate_of(config, arm),
            learning_rate_decay="linear",
            small_frames_share=config.small_frames_share,
            clear_share=config.clear_share,
            tone_variation=0.0,
            color_variation=0.0,
            data_sets=sets,
            test_sets=sets,
            draws=1,
            adaptor=adaptor,
            losses=losses,
            backbone=variant.backbone,
        )
        changes = {name: value for name, value in changes.items() if getattr(training, name) != value}
        is_plain = variant == Variant(variant.name, arm) and not changes
        if is_plain:
            changes["curve"] = tuple(config.curve)
        training = replace(training, **changes)
        seeds = config.seeds if question in config.repeated else config.seeds[:1]
        return [replace(training, seed=seed) for seed in seeds]

    def variants(question: str, listed: list[Variant]) -> Rows:
        return {variant.name: trainings(question, variant.arm, variant, **variant.training) for variant in listed}

    as_the_others = {
        name: {"degradation": name, "draws": config.test_draws.get(name, 1)} for name in config.degradations
    }
    own_values = {name: changes | config.of_degradation.get(name, {}) for name, changes in as_the_others.items()}
    compared = {name + AS_THE_OTHERS: as_the_others[name] for name in config.of_degradation}

    def by_degradation(fit: Fit | None) -> dict[str, dict]:
        """What differs for each degradation; what stands beside for comparison is not fitted."""
        return {name: changes | {"fit": fit} for name, changes in own_values.items()} | compared

    curve = tuple(LONGER * step for step in config.curve)
    with_all = config.fit and replace(config.fit, photographs=(ALL,))
    with_few_and_all = config.fit and replace(config.fit, photographs=(*config.fit.photographs, ALL))

    def long(arm: str) -> dict[str, int | float]:
        return {"steps": LONGER * config.steps, "learning_rate": learning_rate_of(config, arm, is_long=True)}

    return {
        "arms": {arm: trainings("arms", arm) for arm in config.arms},
        "degradations": {
            name: trainings("degradations", OURS, **changes) for name, changes in by_degradation(with_all).items()
        },
        "pairs": {
            f"{arm} | {pairs}": trainings("pairs", arm, pairs=pairs)
            for pairs in config.pair_counts
            for arm in config.pairs_arms
        }
        | {
            f"{arm}{long_suffix(config)} | {pairs}": trainings("pairs", arm, pairs=pairs, **long(arm))
            for pairs in config.long_pair_counts
            for arm in config.long_arms
        },
        "unseen": {
            f"{name} | {left_out.name}": trainings(
                "unseen",
                OURS,
                data_sets=tuple(data_set for data_set in sets if data_set != left_out),
                test_sets=(left_out,),
                **changes,
            )
            for name, changes in by_degradation(with_few_and_all).items()
            for left_out in sets
            if len(sets) > 1
        },
        "backbones": variants("backbones", config.backbones),
        "modality": {
            degradation: trainings(
                "modality",
                OURS,
                degradation=degradation,
                data_sets=(config.modality,),
                test_sets=(config.modality,),
            )
            for degradation in (config.modality_degradations if config.modality else [])
        },
        "convergence": {arm: trainings("convergence", arm, curve=curve, **long(arm)) for arm in config.long_arms},
        "ablations": variants("ablations", config.ablations),
        "parameters": variants("parameters", config.sizes),
        "learning_rates": {
            f"{arm} | {rate:g}": trainings("learning_rates", arm, learning_rate=rate)
            for arm in config.arms
            for rate in config.tried_learning_rates
        }
        | {
            f"{arm}{long_suffix(config)} | {rate:g}": trainings(
                "learning_rates", arm, curve=curve, **long(arm) | {"learning_rate": rate}
            )
            for arm in config.long_arms
            for rate in config.tried_long_learning_rates
        },
    }
