"""Sections in which the arms are compared with each other."""

import numpy as np

from benchmarks.claims import plots, targets
from benchmarks.claims.arms import PAPER_SAMPLING_STEPS, SCRATCH
from benchmarks.claims.config import OURS
from benchmarks.claims.plan import Rows, learning_rate_of, long_suffix
from benchmarks.claims.section import Material, Section
from benchmarks.claims.tables import (
    NOTHING,
    by_two,
    cell,
    first_reaching,
    mean_curve,
    measure,
    parameters,
    seconds,
    variants,
)
from benchmarks.claims.trainings import Training
from retina_adapt.markdown import markdown_table


def arms(about: Material) -> Section:
    config, results = about.config, about.results
    names = [data_set.name for data_set in config.data_sets]
    rows = about.questions["arms"]

    def scores(trainings: list[Training], suffix: str) -> list[str]:
        return [
            f"{cell(measure(results, trainings, f'psnr_{suffix}', name))} / "
            f"{cell(measure(results, trainings, f'ssim_{suffix}', name), 3)}"
            for name in names
        ]

    done = [training for trainings in rows.values() for training in trainings if training.key in results]
    lines = [["degraded", "", "", *scores(done[:1], "degraded"), ""]]
    for method, found in about.measured.get("classical", {}).items():
        means = [found["scores"][name] for name in names]
        shown = [f"{mean['psnr_enhanced']:.2f} / {mean['ssim_enhanced']:.3f}" for mean in means]
        lines.append([method, "0", "", *shown, ""])
    for arm, trainings in rows.items():
        lines.append(
            [
                arm,
                parameters(results, trainings),
                cell(seconds(results, trainings), 0),
                *scores(trainings, "enhanced"),
                cell(measure(results, trainings, "psnr_clear_enhanced"), 1),
            ]
        )
    header = ["arm", "trainable parameters", "seconds", *names, "clear in, clear out"]
    return Section(
        [
            "### Arms",
            f"Degradation `{config.degradation}`, all pairs; PSNR / SSIM. The last column is the PSNR between a clear "
            "photograph and itself enhanced. CLAHE and illumination correction with the options that are best on the "
            "validation photographs; `backbone alone` is the photograph reconstructed without an adaptor. Each arm "
            "has the learning rate that is best for it, or nearly so, of those that were tried (*Learning rates*). "
            "`paper` trains its adaptors in the encoder for the first half of its steps, those in the denoiser for the "
            f"second, and samples in {PAPER_SAMPLING_STEPS} steps (the paper: 50); `paper, decoded` has the encoder "
            "alone. `scratch with input skip with branches` has all that ours has but what the backbone has learned.",
            markdown_table(header, lines),
        ]
    )


def pairs(about: Material) -> Section:
    config, results = about.config, about.results
    suffix = long_suffix(config)
    of_few_steps, long = _pairs_rows(about), _long_pairs_rows(about)
    rows = of_few_steps | long
    plots.draw_pairs(rows, results, suffix, about.figures / "pairs.png")
    verdicts = [targets.fewer_pairs(of_few_steps, results)]
    if long:
        verdicts.append(targets.fewer_pairs(long, results, suffix))

    def shown(trainings: list[Training]) -> str:
        psnr, ssim = (measure(results, trainings, f"{name}_enhanced") for name in ("psnr", "ssim"))
        return f"{cell(psnr)} / {cell(ssim, 3)}" if len(psnr) else NOTHING

    return Section(
        [
            "### Fewer pairs",
            f"Degradation `{config.degradation}`, mean of the data sets; PSNR / SSIM. Pairs are fixed: photograph and "
            "degradation drawn once; `all` degrades every clear photograph anew for every draw. Where there are more "
            "pairs than clear photographs, each serves for several, with other degradations.",
            by_two({name: shown(trainings) for name, trainings in rows.items()}, "pairs"),
            *map(str, verdicts),
            f"![PSNR over pairs]({about.link}/pairs.png)",
        ],
        verdicts,
    )


def size(about: Material) -> Section:
    results, arms_rows = about.results, about.questions["arms"]
    sizes = about.questions.get("parameters", {})
    others = {name: trainings for name, trainings in sizes.items() if trainings != arms_rows.get(OURS)}
    plots.draw_parameters(arms_rows | others, results, about.figures / "parameters.png")
    verdicts = targets.fewer_parameters(arms_rows, _pairs_rows(about), results)
    return Section(
        [
            "### Fewer parameters",
            "Our adaptor in several sizes; the other arms stand in the plot and in their own table.",
            variants(sizes, results),
            *map(str, verdicts),
            f"![PSNR over parameters]({about.link}/parameters.png)",
        ],
        verdicts,
    )


def convergence(about: Material) -> Section:
    config, results, arms_rows = about.config, about.results, about.questions["arms"]
    long = about.questions.get("convergence", {})
    names = [data_set.name for data_set in config.data_sets]
    rows = arms_rows | {f"{arm}{long_suffix(config)}": trainings for arm, trainings in long.items()}
    plots.draw_convergence(rows, results, long_suffix(config), about.figures / "convergence.png")
    verdict = targets.faster_convergence(arms_rows, long, results)
    best = {arm: mean_curve(results, trainings, "step")[1].max(initial=0.0) for arm, trainings in rows.items()}
    level = max((value for arm, value in best.items() if arm.startswith(SCRATCH)), default=0.0)

    def reaching(trainings: list[Training], across: str) -> str:
        found = first_reaching(results, trainings, level, across)
        return "not reached" if found is None else f"{found:.0f}"

    return Section(
        [
            "### Faster convergence",
            f"PSNR on the validation photographs, degradation `{config.degradation}`. Training from scratch comes to "
            f"{level:.2f} dB at best; where the arms first reach that. The last columns are what each has on the "
            "test photographs in the end.",
            markdown_table(
                ["arm", "best", "steps to it", "seconds to it", "test", *names],
                (
                    [
                        arm,
                        f"{best[arm]:.2f}",
                        reaching(trainings, "step"),
                        reaching(trainings, "seconds"),
                        cell(measure(results, trainings, "psnr_enhanced")),
                        *(cell(measure(results, trainings, "psnr_enhanced", name)) for name in names),
                    ]
                    for arm, trainings in rows.items()
                    if best[arm]
                ),
            ),
            str(verdict),
            f"![Validation PSNR over steps and seconds]({about.link}/convergence.png)",
        ],
        [verdict],
    )


def learning_rates(about: Material) -> Section:
    results, rows = about.results, about.questions["learning_rates"]

    def scored(trainings: list[Training]) -> list[float]:
        return [results[each.key]["validation_psnr"] for each in trainings if each.key in results]

    tried: dict[str, dict[float, float]] = {}
    for name, trainings in rows.items():
        arm, rate = name.split(" | ")
        if found := scored(trainings):
            tried.setdefault(arm, {})[float(rate)] = sum(found) / len(found)
    better, at_the_edge = [], []
    for arm, by_rate in tried.items():
        own = arm.removesuffix(long_suffix(about.config))
        used = learning_rate_of(about.config, own, is_long=own != arm)
        best = max(by_rate, key=by_rate.__getitem__)
        if best in (min(by_rate), max(by_rate)):
            at_the_edge.append(f"{arm} ({best:g})")
        if used in by_rate and best != used:
            better.append(f"{arm} ({best:g}, {by_rate[best] - by_rate[used]:+.2f} dB)")
    return Section(
        [
            "### Learning rates",
            "PSNR on the validation photographs, by which the rates of the arms were chosen."
            + (
                f" Arms that another rate would serve better, and by how much here: {', '.join(better)}."
                if better
                else ""
            )
            + (
                f" Best at the lowest or the highest rate tried, so that one beyond may be better still: "
                f"{', '.join(at_the_edge)}."
                if at_the_edge
                else ""
            ),
            by_two({name: cell(np.array(scored(trainings))) for name, trainings in rows.items()}, "arm"),
        ]
    )


def _pairs_rows(about: Material) -> Rows:
    """By arm and number of pairs, the fewest first; `all` pairs are the arms' own trainings."""
    config = about.config
    return _by_pairs(about, config.pairs_arms, config.pair_counts, "", about.questions.get("arms", {}))


def _long_pairs_rows(about: Material) -> Rows:
    """The same of the arms that are trained longer; empty if they are trained with all pairs alone."""
    config = about.config
    if not config.long_pair_counts:
        return {}
    of_all = about.questions.get("convergence", {})
    return _by_pairs(about, config.long_arms, config.long_pair_counts, long_suffix(config), of_all)


def _by_pairs(about: Material, arms: list[str], counts: list[int], suffix: str, of_all: Rows) -> Rows:
    fixed = about.questions.get("pairs", {})
    names = [f"{arm}{suffix} | {count}" for arm in arms for count in sorted(counts)]
    return {name: fixed[name] for name in names if name in fixed} | {
        f"{arm}{suffix} | all": of_all.get(arm, []) for arm in arms
    }
