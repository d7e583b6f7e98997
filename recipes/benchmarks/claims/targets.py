"""What the project set out to reach, held against the results: no verdict is written by hand."""

from dataclasses import dataclass

from benchmarks._targets import GAIN_TARGET, missed_gains, tally
from benchmarks.claims.arms import FULL_FINE_TUNING, SCRATCH
from benchmarks.claims.config import OURS
from benchmarks.claims.plan import Rows
from benchmarks.claims.tables import Results, first_reaching, gain, mean_curve, measure

LARGEST_SHARE_OF_PARAMETERS = 0.05
LARGEST_DISTANCE = 0.3
FEW_PAIRS = 25
SHARE_OF_STEPS = 0.1
NO_HARM = 40.0
LEAST_CORRELATION = 0.5


@dataclass(frozen=True)
class Verdict:
    """One target, what was measured, and whether it is met; None where too little has been run."""

    claim: str
    target: str
    measured: str
    met: bool | None

    @property
    def word(self) -> str:
        return {True: "met", False: "missed", None: "not measured yet"}[self.met]

    def __str__(self) -> str:
        measured = f" {self.measured}:" if self.measured else ""
        return f"Target: {self.target}.{measured} **{self.word}**."


def means_of(rows: Rows, results: Results, beginning: str, end: str = "") -> dict[str, float] | None:
    """Mean PSNR of each row whose name begins and ends so, by the name without its end.

    None where one of them has not been run, or there is none: a verdict over the others would be a guess.
    """
    wanted = {name: trainings for name, trainings in rows.items() if name.startswith(beginning) and name.endswith(end)}
    found = {name.removesuffix(end): measure(results, trainings, "psnr_enhanced") for name, trainings in wanted.items()}
    if not found or not all(len(values) for values in found.values()):
        return None
    return {name: float(values.mean()) for name, values in found.items()}


def fewer_pairs(rows: Rows, results: Results, suffix: str = "") -> Verdict:
    """Rows are named `arm | pairs`; of long trainings, the arms' names end in `suffix`."""
    claim, target = "fewer pairs", "ours with 10 pairs at or above every training from scratch with 100, in PSNR"
    if suffix:
        target = f"the same after {suffix.removeprefix(', ')}"
    ours = means_of(rows, results, OURS, f"{suffix} | 10")
    scratch = means_of(rows, results, SCRATCH, f"{suffix} | 100")
    if ours is None or scratch is None:
        return Verdict(claim, target, "", None)
    return Verdict(claim, target, f"Ours {ours[OURS]:.2f} dB, {_shown(scratch)}", ours[OURS] >= max(scratch.values()))


def _shown(means: dict[str, float]) -> str:
    return ", ".join(f"{arm} {value:.2f}" for arm, value in means.items())


def _share_of_parameters(arms: Rows, results: Results) -> Verdict:
    """Of the whole backbone; of the autoencoder besides, which is what full fine-tuning trains."""
    claim, target = "fewer parameters", f"at most {LARGEST_SHARE_OF_PARAMETERS:.0%} of the backbone's parameters"
    ours, full = (
        next((results[each.key] for each in arms.get(arm, []) if each.key in results), None)
        for arm in (OURS, FULL_FINE_TUNING)
    )
    if ours is None:
        return Verdict(claim, target, "", None)
    count = ours["trainable_parameters"]
    share = count / ours["backbone_parameters"]
    of_autoencoder = "" if full is None else f"; {count / full['trainable_parameters']:.0%} of the autoencoder's"
    return Verdict(claim, target, f"{share:.1%}{of_autoencoder}", share <= LARGEST_SHARE_OF_PARAMETERS)


def fewer_parameters(arms: Rows, pairs: Rows, results: Results) -> list[Verdict]:
    """One verdict for each of the three things asked for; of several arms of full fine-tuning against the best."""
    verdicts = [_share_of_parameters(arms, results)]
    target = f"within {LARGEST_DISTANCE} dB of full fine-tuning with all pairs"
    full = means_of(arms, results, FULL_FINE_TUNING)
    ours = measure(results, arms.get(OURS, []), "psnr_enhanced")
    if full is not None and len(ours):
        met = bool(ours.mean() >= max(full.values()) - LARGEST_DISTANCE)
        verdicts.append(Verdict("fewer parameters", target, f"Ours {ours.mean():.2f} dB, {_shown(full)}", met))
    else:
        verdicts.append(Verdict("fewer parameters", target, "", None))
    target = f"ahead of full fine-tuning with {FEW_PAIRS} pairs or fewer"
    counts = [name.split(" | ")[1] for name in pairs if name.startswith(f"{OURS} | ")]
    differences: dict[str, float] = {}
    for count in (count for count in counts if count != "all" and int(count) <= FEW_PAIRS):
        few = means_of(pairs, results, OURS, f" | {count}")
        few_full = means_of(pairs, results, FULL_FINE_TUNING, f" | {count}")
        if few is None or few_full is None:
            return [*verdicts, Verdict("fewer parameters", target, "", None)]
        best = max(few_full, key=few_full.__getitem__)
        differences[f"{count} ({best})"] = few[OURS] - few_full[best]
    shown = ", ".join(f"{value:+.2f} dB with {count}" for count, value in differences.items())
    met = all(value > 0 for value in differences.values()) if differences else None
    return [*verdicts, Verdict("fewer parameters", target, shown, met)]


def faster_convergence(arms: Rows, long: Rows, results: Results) -> Verdict:
    """Against each of the long trainings from scratch, at the step where it is best."""
    target = f"every scratch's best result in at most {SHARE_OF_STEPS:.0%} of its steps, validation PSNR"
    shown: list[str] = []
    met = True
    for arm, trainings in long.items():
        steps, values = mean_curve(results, trainings, "step")
        if not arm.startswith(SCRATCH) or not len(values):
            continue
        level, best_step = float(values.max()), float(steps[values.argmax()])
        reached = first_reaching(results, arms.get(OURS, []), level, "step")
        shown.append(
            f"{arm} comes to {level:.2f} dB at step {best_step:.0f}, which ours "
            + ("does not reach" if reached is None else f"reaches at step {reached:.0f}")
        )
        met = met and reached is not None and reached <= SHARE_OF_STEPS * best_step
    if not shown or not len(mean_curve(results, arms.get(OURS, []), "step")[0]):
        return Verdict("faster convergence", target, "", None)
    return Verdict("faster convergence", target, "; ".join(shown), met)


def gains(claim: str, cells: dict[str, tuple[float, float]]) -> Verdict:
    """Cells are a degraded input's PSNR and the gain over it, by name."""
    if not cells:
        return Verdict(claim, GAIN_TARGET, "", None)
    missed = missed_gains(cells)
    return Verdict(claim, GAIN_TARGET, tally(len(cells), missed, "cells"), not missed)


def gain_cells(rows: Rows, results: Results, names: list[str]) -> dict[str, tuple[float, float]]:
    """The cells of `gains` of rows that are named after degradations."""
    return {
        f"{degradation} on {name}": (
            float(measure(results, trainings, "psnr_degraded", name).mean()),
            float(gain(results, trainings, name).mean()),
        )
        for degradation, trainings in rows.items()
        for name in names
        if len(gain(results, trainings, name))
    }


def no_harm(found: dict[str, dict[str, dict[str, float]]], routed: str) -> list[Verdict]:
    """Of what `enhance_clear_photographs` returns."""
    lowest = min(scores[routed]["lowest_psnr"] for scores in found.values())
    short = [
        f"{adaptor} on {name} ({score['psnr']:.1f})"
        for name, scores in found.items()
        for adaptor, score in scores.items()
        if adaptor != routed and score["psnr"] < NO_HARM
    ]
    count = sum(len(scores) - 1 for scores in found.values())
    shown = f"{count - len(short)} of {count}" + (f", not {', '.join(short)}" if short else "")
    return [
        Verdict(
            "no harm, routed",
            f"every clear photograph untouched or at least {NO_HARM:g} dB",
            f"lowest {lowest:.1f} dB",
            lowest >= NO_HARM,
        ),
        Verdict("no harm, without the router", f"{NO_HARM:g} dB by every adaptor on the average", shown, not short),
    ]


def is_valid(correlations: dict[str, float]) -> bool:
    """Whether a measure ranks real photographs as experts do, or the other way round, on all parts."""
    values = list(correlations.values())
    return min(map(abs, values)) >= LEAST_CORRELATION and (min(values) > 0 or max(values) < 0)
