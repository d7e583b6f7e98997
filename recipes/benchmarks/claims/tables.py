"""Means and spreads of trainings' scores, and Markdown tables of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.claims.plan import Rows
from benchmarks.claims.trainings import Training
from retina_adapt.markdown import markdown_table

Results = dict[str, dict]
NOTHING = "–"


def measure(results: Results, trainings: Sequence[Training], name: str, data_set: str | None = None) -> np.ndarray:
    """One value for each training that has been run: of one data set, or the mean of its test sets."""
    values = []
    for training in trainings:
        found = results.get(training.key)
        if found is not None:
            sets = [data_set] if data_set is not None else list(found["scores"])
            values.append(np.mean([found["scores"][each][name] for each in sets]))
    return np.array(values)


def fitted(results: Results, photographs: int) -> Results:
    """The trainings that went on with each data set by itself, with their scores after that.

    Args:
        photographs: of that data set, 0 being all.
    """
    return {
        key: result | {"scores": result["fitted"][str(photographs)]}
        for key, result in results.items()
        if str(photographs) in result.get("fitted", {})
    }


def gain(results: Results, trainings: Sequence[Training], data_set: str | None = None) -> np.ndarray:
    """PSNR of the enhanced less that of the degraded, in dB."""
    return measure(results, trainings, "psnr_enhanced", data_set) - measure(
        results, trainings, "psnr_degraded", data_set
    )


def cell(values: np.ndarray, digits: int = 2) -> str:
    """Mean and standard deviation over seeds; a dash where nothing has been run."""
    if len(values) == 0:
        return NOTHING
    spread = f" ± {deviation(values):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def deviation(values: np.ndarray) -> float:
    """Standard deviation over seeds, that of a sample; 0 of a single one."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def by_two(cells: Mapping[str, str], corner: str) -> str:
    """A table of cells that are named `first | second`, the second across."""
    names = [name.split(" | ") for name in cells]
    across = list(dict.fromkeys(second for _, second in names))
    down = list(dict.fromkeys(first for first, _ in names))
    return markdown_table(
        [corner, *across],
        ([first, *(cells.get(f"{first} | {second}", NOTHING) for second in across)] for first in down),
    )


def parameters(results: Results, trainings: Sequence[Training]) -> str:
    """Trainable parameters, and their share of the backbone's."""
    found = next((results[training.key] for training in trainings if training.key in results), None)
    if found is None:
        return NOTHING
    count = found["trainable_parameters"]
    return f"{count:,} ({count / found['backbone_parameters']:.1%})"


def seconds(results: Results, trainings: Sequence[Training]) -> np.ndarray:
    """Of processor time that training took, without scoring."""
    return np.array([results[training.key]["seconds"] for training in trainings if training.key in results])


def mean_curve(results: Results, trainings: Sequence[Training], across: str) -> tuple[np.ndarray, np.ndarray]:
    """Validation PSNR over `across`, which is "step" or "seconds"; means over the seeds."""
    curves = [results[training.key]["curve"] for training in trainings if training.key in results]
    curves = [curve for curve in curves if curve]
    if not curves:
        return np.array([]), np.array([])
    places = np.mean([[point[across] for point in curve] for curve in curves], axis=0)
    return places, np.mean([[point["psnr"] for point in curve] for curve in curves], axis=0)


def first_reaching(results: Results, trainings: Sequence[Training], level: float, across: str) -> float | None:
    """Where the mean curve first reaches a PSNR; None if it does not."""
    places, values = mean_curve(results, trainings, across)
    reached = places[values >= level]
    return float(reached[0]) if len(reached) else None


def variants(rows: Rows, results: Results) -> str:
    """A table of trainings that differ in something, mean of their test sets."""
    return markdown_table(
        ["variant", "trainable parameters", "degraded", "PSNR", "SSIM", "clear in, clear out"],
        (
            [
                name.replace(" | ", ", "),
                parameters(results, trainings),
                cell(measure(results, trainings[:1], "psnr_degraded")),
                cell(measure(results, trainings, "psnr_enhanced")),
                cell(measure(results, trainings, "ssim_enhanced"), 3),
                cell(measure(results, trainings, "psnr_clear_enhanced"), 1),
            ]
            for name, trainings in rows.items()
        ),
    )
