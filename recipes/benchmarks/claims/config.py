"""What the benchmark of the claims is told: data sets, arms, how long each is trained, and what is compared."""

from dataclasses import dataclass, field

from benchmarks.claims.arms import SCRATCH
from benchmarks.claims.pairs import DataSet
from benchmarks.claims.trainings import Fit
from retina_adapt.adaptation import AdaptationLossWeights
from retina_adapt.adaptors import AdaptorSettings
from retina_adapt.embedded import DEFAULT_BACKBONE, embedded_names

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
        fit: how our adaptor goes on with one data set alone, in the same two questions, to be scored again: with all
            of its training photographs, and if it was left out of training, with so few of them besides; null is not
            at all.
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
    fit: Fit | None = None
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
