"""Sections about our adaptor: on what it works, and what it owes to its parts."""

import numpy as np

from benchmarks.claims import plots, targets
from benchmarks.claims.arms import SCRATCH
from benchmarks.claims.config import OURS, ClaimsConfig
from benchmarks.claims.plan import AS_THE_OTHERS, Rows
from benchmarks.claims.section import Material, Section
from benchmarks.claims.tables import NOTHING, Results, by_two, cell, fitted, gain, measure, variants
from benchmarks.claims.targets import Verdict
from benchmarks.claims.trainings import ALL, Training
from retina_adapt.markdown import markdown_table


def degradations(about: Material) -> Section:
    config, results = about.config, about.results
    names = [data_set.name for data_set in config.data_sets]
    rows = about.questions["degradations"]
    judged = {name: trainings for name, trainings in rows.items() if not name.endswith(AS_THE_OTHERS)}
    left_out = about.questions.get("unseen", {})
    plots.draw_degradations(judged, left_out, results, names, about.figures / "degradations.png")
    claim = "degradations and data sets"
    verdicts = [targets.gains(claim, targets.gain_cells(judged, results, names))]
    lines = [_gains(degradation, trainings, results, names) for degradation, trainings in rows.items()]
    if config.fit is not None:
        after = fitted(results, ALL)
        verdicts.append(targets.gains(f"{claim}, fitted to each", targets.gain_cells(judged, after, names)))
        lines += [
            _gains(f"{degradation}, fitted to each data set", trainings, after, names)
            for degradation, trainings in judged.items()
        ]
    return Section(
        [
            "### Degradations and data sets",
            "Our adaptor: PSNR of the degraded photograph, of the enhanced one, and the gain; the share of photographs "
            "that enhancing makes worse; and the PSNR between a clear photograph and itself enhanced."
            + _own_values(about)
            + _fitting(config),
            markdown_table(["degradation", *names, "worse", "clear in, clear out"], lines),
            *map(str, verdicts),
            f"![Gain by degradation and data set]({about.link}/degradations.png)",
        ],
        verdicts,
    )


def _gains(degradation: str, trainings: list[Training], results: Results, names: list[str]) -> list[str]:
    """A line of the table."""

    def shown(name: str) -> str:
        before = measure(results, trainings, "psnr_degraded", name)
        if not len(before):
            return NOTHING
        after = cell(measure(results, trainings, "psnr_enhanced", name))
        return f"{before.mean():.2f} → {after} ({gain(results, trainings, name).mean():+.2f})"

    return [
        degradation,
        *map(shown, names),
        _percent(measure(results, trainings, "share_worse")),
        cell(measure(results, trainings, "psnr_clear_enhanced"), 1),
    ]


def unseen(about: Material) -> Section:
    config = about.config
    rows = about.questions["unseen"]
    judged = {name: trainings for name, trainings in rows.items() if AS_THE_OTHERS not in name}
    verdicts = [_gains_where_left_out("unseen cameras", judged, about.results)]
    shown = {name: _gain_where_left_out(trainings, about.results) for name, trainings in rows.items()}
    for count in (*config.fit.photographs, ALL) if config.fit else ():
        after, how = fitted(about.results, count), f"fitted to {count or 'all'} of its photographs"
        verdicts.append(_gains_where_left_out(f"a new camera, {how}", judged, after))
        for name, trainings in judged.items():
            degradation, data_set = name.split(" | ")
            shown[f"{degradation}, {how} | {data_set}"] = _gain_where_left_out(trainings, after)
    return Section(
        [
            "### Cameras that training has not seen",
            "Our adaptor on a data set that is left out of training: PSNR of the degraded photograph, and the gain. "
            "The backbone has seen all of them." + _own_values(about) + _fitting(config),
            by_two(shown, "degradation"),
            *map(str, verdicts),
        ],
        verdicts,
    )


def _gains_where_left_out(claim: str, rows: Rows, results: Results) -> Verdict:
    return targets.gains(
        claim,
        {
            name.replace(" | ", " on "): (
                float(measure(results, trainings, "psnr_degraded").mean()),
                float(gain(results, trainings).mean()),
            )
            for name, trainings in rows.items()
            if len(gain(results, trainings))
        },
    )


def _gain_where_left_out(trainings: list[Training], results: Results) -> str:
    found = gain(results, trainings)
    before = measure(results, trainings, "psnr_degraded")
    return f"{before.mean():.2f} ({found.mean():+.2f})" if len(found) else NOTHING


def _fitting(config: ClaimsConfig) -> str:
    if config.fit is None:
        return ""
    return (
        f" *Fitted* to a data set, the adaptor goes on for {config.fit.steps} steps with clear training photographs of "
        "that one alone."
    )


def _own_values(about: Material) -> str:
    """What differs in the trainings and tests of some degradations; nothing where nothing does."""
    trained = [
        f"`{degradation}` with {', '.join(f'{name} {value:g}' for name, value in values.items())}"
        for degradation, values in about.config.of_degradation.items()
    ]
    tested = [f"`{degradation}` {count} times" for degradation, count in about.config.test_draws.items()]
    said = f" Trained unlike the others: {'; '.join(trained)}." if trained else ""
    # A decibel more or less depends on which faults a photograph happens to be given.
    return said + (f" Each test photograph is degraded once, by {', '.join(tested)}." if tested else "")


def backbones(about: Material) -> Section:
    config, results = about.config, about.results
    rows = about.questions["backbones"]
    target = (
        "on three backbones or more, ours ahead of the degraded input and of every training of the same network from "
        "scratch"
    )
    verdict = Verdict("other backbones", target, "", None)
    if targets.means_of(rows, results, "") is not None:
        # Training from scratch does not depend on the backbone's weights, but on its shape.
        kinds = list(dict.fromkeys(name.split(" | ")[0] for name in rows if f" | {SCRATCH}" in name))
        ahead = [kind for kind in kinds if _is_ahead(kind, rows, results)]
        verdict = Verdict("other backbones", target, f"on {len(ahead)} of {len(kinds)}", len(ahead) >= 3)
    return Section(
        [
            "### Other backbones",
            f"Small ones of other kinds, each trained by reconstruction for minutes "
            f"(`recipes/configs/benchmark_claims_backbone_*.yaml`); degradation `{config.degradation}`, mean of the "
            "data sets. The arms have the learning rates that are best on the embedded backbone. The last column tells "
            "how much of what it is given a training from scratch gives back at this budget. None of the losses on "
            "pictures reaches the codebook of `vq`, which stays as it began.",
            variants(rows, results),
            str(verdict),
        ],
        [verdict],
    )


def _is_ahead(kind: str, rows: Rows, results: Results) -> bool:
    """Whether the best of ours on this backbone is ahead of its degraded input and of all that is not ours."""
    means = targets.means_of(rows, results, f"{kind} | ") or {}
    ours = [value for name, value in means.items() if name.startswith(f"{kind} | {OURS}")]
    others = [value for name, value in means.items() if not name.startswith(f"{kind} | {OURS}")]
    before = measure(results, rows[next(iter(means))], "psnr_degraded").mean()
    return max(ours, default=0.0) > max([before, *others])


def modality(about: Material) -> Section:
    config, results = about.config, about.results
    rows = about.questions["modality"]
    name = config.modality.name
    verdict = targets.gains("another modality", targets.gain_cells(rows, results, [name]))
    return Section(
        [
            f"### Another modality: {name}",
            "Our adaptor on the embedded backbone, which has been trained on fundus photographs alone.",
            variants(rows, results),
            str(verdict),
        ],
        [verdict],
    )


def ablations(about: Material) -> Section:
    config, results = about.config, about.results
    return Section(
        [
            "### Ablations",
            f"Degradation `{config.degradation}`, mean of the data sets.",
            variants(about.questions["ablations"], results),
        ]
    )


def _percent(values: np.ndarray) -> str:
    return f"{values.mean():.0%}" if len(values) else NOTHING
