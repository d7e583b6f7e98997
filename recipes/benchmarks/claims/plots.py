"""Plots of the claims."""

from collections.abc import Collection
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks._targets import LEAST_GAIN, MILD_PSNR
from benchmarks.claims.plan import Rows
from benchmarks.claims.tables import Results, deviation, gain, mean_curve, measure
from retina_adapt.atomic_files import write_file_atomically

mpl.use("Agg")


def draw_pairs(rows: Rows, results: Results, suffix: str, path: Path) -> None:
    """PSNR over the number of pairs, a line for each arm; `all` stands at the right; long trainings are dashed."""
    counts = list(dict.fromkeys(name.split(" | ")[1] for name in rows))
    figure, axes = _figure()
    arms = list(dict.fromkeys(name.split(" | ")[0] for name in rows))
    colors = _colors(arms, suffix)
    for number, arm in enumerate(arms):
        values = [measure(results, rows.get(f"{arm} | {count}", []), "psnr_enhanced") for count in counts]
        places = [place for place, found in enumerate(values) if len(found)]
        axes.errorbar(
            # Beside each other, or the bars of one arm would cover those of the next.
            [place + 0.06 * (number - (len(arms) - 1) / 2) for place in places],
            [values[place].mean() for place in places],
            [deviation(values[place]) for place in places],
            linestyle=_line(arm, suffix),
            color=colors[arm],
            marker="o",
            capsize=3,
            label=arm,
        )
    axes.set_xticks(range(len(counts)), counts)
    _finish(figure, axes, "pairs", "PSNR on the test splits, dB", path)


def draw_parameters(rows: Rows, results: Results, path: Path) -> None:
    """PSNR over the number of trainable parameters."""
    figure, axes = _figure()
    colors = mpl.colormaps["tab20"](np.linspace(0, 1, len(rows)))
    for (name, trainings), color, marker in zip(rows.items(), colors, cycle("os^Dv"), strict=False):
        values = measure(results, trainings, "psnr_enhanced")
        if len(values):
            count = next(results[each.key]["trainable_parameters"] for each in trainings if each.key in results)
            axes.errorbar(
                [count], [values.mean()], [deviation(values)], marker=marker, color=color, capsize=3, label=name
            )
    axes.set_xscale("log")
    axes.set_xticks([30_000, 100_000, 300_000])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    _finish(figure, axes, "trainable parameters", "PSNR on the test splits, dB", path)


def draw_convergence(rows: Rows, results: Results, suffix: str, path: Path) -> None:
    """Validation PSNR over optimiser steps and over seconds; names of long trainings end in `suffix`."""
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    colors = _colors(rows, suffix)
    for axes, across in zip(figure.subplots(1, 2), ("step", "seconds"), strict=True):
        for name, trainings in rows.items():
            places, values = mean_curve(results, trainings, across)
            if len(places):
                axes.plot(places, values, _line(name, suffix), color=colors[name], marker=".", label=name)
        axes.set_xscale("log")
        axes.set_xlabel({"step": "optimiser steps", "seconds": "seconds of processor time"}[across])
        axes.set_ylabel("validation PSNR, dB")
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7)
    _save(figure, path)


def draw_degradations(rows: Rows, unseen: Rows, results: Results, names: list[str], path: Path) -> None:
    """Gain by degradation and data set, as bars; a diamond where the data set was left out of training."""
    figure, axes = _figure()
    degradations = list(rows)
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        places = np.arange(len(degradations)) + (number - (len(names) - 1) / 2) * width
        gains = [gain(results, rows[degradation], name) for degradation in degradations]
        bars = [found.mean() if len(found) else 0.0 for found in gains]
        axes.bar(places, bars, width, label=name)
        left_out = [gain(results, unseen.get(f"{degradation} | {name}", [])) for degradation in degradations]
        shown = [place for place, found in enumerate(left_out) if len(found)]
        axes.scatter(
            places[shown],
            [left_out[place].mean() for place in shown],
            marker="D",
            color="black",
            s=18,
            zorder=3,
            label="left out of training" if number == 0 else None,
        )
    target = f"target; 0 above {MILD_PSNR:g} dB at the input"
    axes.axhline(LEAST_GAIN, color="black", linewidth=0.8, linestyle="--", label=target)
    axes.set_xticks(range(len(degradations)), degradations)
    _finish(figure, axes, "degradation", "gain in PSNR, dB", path)


def _colors(names: Collection[str], suffix: str) -> dict[str, np.ndarray]:
    """One for each arm, which its long training shares."""
    arms = list(dict.fromkeys(name.removesuffix(suffix) for name in names))
    of_arm = dict(zip(arms, mpl.colormaps["tab20"](np.linspace(0, 1, len(arms))), strict=True))
    return {name: of_arm[name.removesuffix(suffix)] for name in names}


def _line(name: str, suffix: str) -> str:
    return "--" if name.endswith(suffix) else "-"


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    return figure, figure.subplots()


def _finish(figure: Figure, axes: Axes, across: str, up: str, path: Path) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=7, handlelength=4)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with write_file_atomically(path) as temporary:
        # No date in the file: the same results give the same bytes.
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
