"""Which trainings answer which question."""

from dataclasses import dataclass, field, replace

from benchmarks.claims.arms import SCRATCH, arm_settings
from benchmarks.claims.pairs import DataSet
from benchmarks.claims.trainings import ALL_PAIRS, Training
from retina_adapt.adaptation import AdaptationLossWeights
from retina_adapt.adaptors import AdaptorSettings
from retina_adapt.embedded import DEFAULT_BACKBONE, embedded_names

Rows = dict[str, list[Training]]
OURS = "ours"


@dataclass
class Variant:
    """A training that differs from our adaptor's own in some values.

    Args:
        name: as it stands in tables.
        arm: a name that `build_arm` knows.
        adaptor: settings that differ.
        losses: weights that differ.
        hook_groups: where adaptors sit, if elsewhere.
        training: values of the `Training` itself that differ, its steps for instance.
        backbone: embedded name or folder.
    """

    name: str
    arm: str = OURS
    adaptor: dict[str, int | bool | str] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    hook_groups: list[str] = field(default_factory=list)
    training: dict[str, int | float | str] = field(default_factory=dict)
    backbone: str = DEFAULT_BACKBONE


@dataclass
class GradedDataSet:
    """Real photographs with an expert's grade, the higher the worse.

    Args:
        name: as it stands in the text.
        path: their folder.
        column: of the grade in its metadata.
        clear: lowest and highest grade of a clear photograph.
        degraded: lowest and highest grade of those to enhance.
        adaptor: embedded name or folder of the adaptor to enhance them with.
        sheet: picture sheet to look at. It shows photographs of the data set: keep it out of the project.
    """

    name: str
    path: str
    column: str
    clear: list[float]
    degraded: list[float]
    adaptor: str
    sheet: str


@dataclass
class ClaimsConfig:
    """Everything that recipes/benchmark.py claims reads.

    Args:
        output_folder: where each training's result is kept; trainings found there are not run again.
        results: JSON file that all results are gathered in; trainings found there are not run again either.
        document: Markdown file whose section between the claims' marks is written anew.
        figures: folder for the plots.
        data_sets: clear photographs.
        questions: those to run now, by their names in `QUESTIONS`; empty is all of them. The document shows all.
        adaptor: our adaptor.
        losses: weights of the losses of every arm but the paper's.
        arms: to compare, in the tables' order.
        learning_rates: of each arm, chosen on validation photographs; of a long training, whose name ends in its steps,
            its own if there is one.
        default_learning_rate: of every arm that `learning_rates` does not name.
        tried_learning_rates: for the question of learning rates, which trains every arm with each.
        tried_long_learning_rates: the same for `long_arms`, trained as long as the question of convergence does.
        seeds: of the trainings of `repeated`; tables give mean and standard deviation.
        repeated: questions whose trainings are repeated with every seed; all others take the first.
        degradation: for the questions that ask about one.
        degradations: for the question of degradations and data sets, and of unseen cameras.
        of_degradation: values of the `Training` that differ for a degradation, its steps or tone_variation for
            instance, in these two questions; its training with the others' values is run besides.
        test_draws: how often each test photograph is degraded, of degradations for which once is not enough: a preset
            of many faults does too different things to one photograph and the next.
        pairs_arms: arms that the question of pairs compares.
        pair_counts: for that question; all pairs are added.
        long_pair_counts: with which `long_arms` are trained ten times as long besides, for that question.
        steps, batch_size: of each training.
        small_frames_share: the first share, in [0, 1], of every arm's steps in the autoencoder, which see frames of
            half the size.
        clear_share: how often, in [0, 1], every arm is trained on a photograph as it is, clear.
        curve: steps after which validation is scored, for the question of convergence.
        long_arms: arms that the questions of convergence and pairs train ten times as long besides.
        sizes: for the question of parameters.
        ablations: variants of our adaptor and its losses.
        backbones: our adaptor and other arms on other backbones.
        modality: photographs of another modality.
        modality_degradations: what is done to them.
        adaptors: the trained adaptors whose harmlessness is measured, embedded names or folders.
        sampled_adaptors: embedded names or folders of adaptors whose modes and sampling steps are compared, each on
            the degradation of its name.
        sampling_steps: to compare.
        graded: real photographs with grades.
        only_document: run nothing; write results and document from what there is.
    """

    output_folder: str
    results: str
    document: str
    figures: str
    data_sets: list[DataSet]
    questions: list[str] = field(default_factory=list)
    adaptor: AdaptorSettings = field(default_factory=AdaptorSettings)
    losses: AdaptationLossWeights = field(default_factory=AdaptationLossWeights)
    arms: list[str] = field(default_factory=lambda: [OURS, "full fine-tuning", SCRATCH])
    learning_rates: dict[str, float] = field(default_factory=dict)
    default_learning_rate: float = 2.0e-3
    tried_learning_rates: list[float] = field(default_factory=list)
    tried_long_learning_rates: list[float] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    repeated: list[str] = field(default_factory=lambda: ["arms", "degradations", "pairs"])
    degradation: str = "light"
    degradations: list[str] = field(default_factory=list)
    of_degradation: dict[str, dict[str, int | float]] = field(default_factory=dict)
    test_draws: dict[str, int] = field(default_factory=dict)
    pairs_arms: list[str] = field(default_factory=list)
    pair_counts: list[int] = field(default_factory=list)
    long_pair_counts: list[int] = field(default_factory=list)
    steps: int = 200
    batch_size: int = 2
    small_frames_share: float = 0.0
    clear_share: float = 0.0
    curve: list[int] = field(default_factory=list)
    long_arms: list[str] = field(default_factory=list)
    sizes: list[Variant] = field(default_factory=list)
    ablations: list[Variant] = field(default_factory=list)
    backbones: list[Variant] = field(default_factory=list)
    modality: DataSet | None = None
    modality_degradations: list[str] = field(default_factory=list)
    adaptors: list[str] = field(default_factory=lambda: embedded_names("adaptors"))
    sampled_adaptors: list[str] = field(default_factory=list)
    sampling_steps: list[int] = field(default_factory=lambda: [1, 2, 4, 10])
    graded: GradedDataSet | None = None
    only_document: bool = False


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
            pairs=ALL_PAIRS,
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
    by_degradation = {name: changes | config.of_degradation.get(name, {}) for name, changes in as_the_others.items()}
    by_degradation |= {name + AS_THE_OTHERS: as_the_others[name] for name in config.of_degradation}
    curve = tuple(LONGER * step for step in config.curve)

    def long(arm: str) -> dict[str, int | float]:
        return {"steps": LONGER * config.steps, "learning_rate": learning_rate_of(config, arm, is_long=True)}

    return {
        "arms": {arm: trainings("arms", arm) for arm in config.arms},
        "degradations": {name: trainings("degradations", OURS, **changes) for name, changes in by_degradation.items()},
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
            for name, changes in by_degradation.items()
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
