"""Evaluate how a router decides on photographs that it was not trained on.

    python recipes/evaluate_router.py --config recipes/configs/evaluate_router_embedded.yaml

Makes three checks: a confusion matrix over clear photographs and what the presets make of them; the share of
photographs that get an adaptor, by severity; and how the router's estimates rank real photographs that experts have
graded. Prints them, and writes `results.json` and `results.md` to the output folder.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from accelerate.utils import tqdm

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.configuration import ConfigurationError, store_configuration
from retina_adapt.data import EvaluationBatchSampler, PhotographSource, PreparedPhotographs, load_images, open_sources
from retina_adapt.degradations import DrawnDegradation, apply_degradation, draw_degradation
from retina_adapt.embedded import router_folder
from retina_adapt.imaging import Photograph
from retina_adapt.markdown import markdown_table
from retina_adapt.routing import (
    CLASSES,
    CLEAR,
    ConfusionTable,
    Route,
    Router,
    fault_class,
    load_router,
    rank_correlation,
)
from retina_adapt.suggestions import did_you_mean
from retina_adapt.training import run_recipe


@dataclass
class ClearDataSet:
    """Held-out clear photographs.

    Args:
        name: its name in the tables.
        photographs: where they come from.
    """

    name: str
    photographs: PhotographSource


@dataclass
class GradedDataSet:
    """Held-out real photographs with an expert's grade.

    Args:
        name: its name in the table.
        photographs: where they come from; without `limit` and `streaming`.
        column: column of the grade; the higher, the worse.
        fault: the class that the grade is about.
        edges: edges of the groups of grades: up to the first, between two, above the last.
    """

    name: str
    photographs: PhotographSource
    column: str
    fault: str
    edges: list[float]

    def __post_init__(self) -> None:
        if self.fault not in CLASSES:
            hint = did_you_mean(self.fault, CLASSES) or f"; there are {', '.join(CLASSES)}"
            raise ConfigurationError(f"graded: {self.name}: there is no class '{self.fault}'{hint}")
        if self.photographs.limit is not None or self.photographs.streaming:
            raise ConfigurationError(
                f"graded: {self.name}: all of its photographs are graded; leave limit and streaming out"
            )


@dataclass
class EvaluateRouterConfig:
    """Everything that recipes/evaluate_router.py reads.

    Args:
        output_folder: where the tables and JSON go.
        clear: clear photographs, routed as they are and degraded.
        graded: real photographs with grades.
        router: a router folder; null takes the embedded one.
        presets: presets that the router was trained on, at their own severities: the confusion matrix's rows by class.
        further_presets: presets that it was not trained on, each a row of its own.
        severities: severities at which the share of photographs that get an adaptor is measured.
        draws: number of draws of each preset for each photograph.
        photograph_size: side in pixels of the squares that are degraded and routed.
        seed: seed of the draws.
    """

    output_folder: str
    clear: list[ClearDataSet]
    graded: list[GradedDataSet] = field(default_factory=list)
    router: str | None = None
    presets: list[str] = field(default_factory=lambda: ["light", "blur", "spots", "haze", "mixed"])
    further_presets: list[str] = field(default_factory=lambda: ["low_light", "low_contrast", "color", "noise", "jpeg"])
    severities: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0])
    draws: int = 2
    photograph_size: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.clear:
            raise ConfigurationError("clear is empty: name at least one data set of clear photographs")
        for name, least in (("draws", 1), ("photograph_size", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        for part, data_sets in (("clear", self.clear), ("graded", self.graded)):
            names = [data_set.name for data_set in data_sets]
            if len(set(names)) < len(names):
                raise ConfigurationError(f"{part}: the names {', '.join(names)} must differ, since they name the rows")
        for preset in self.presets + self.further_presets:
            for severity in (None, *self.severities):
                # Raises for unknown presets and severities out of range now, not in the middle of the work.
                draw_degradation(preset, seed=0, severity=severity)


def routes_of(
    router: Router, photographs: PreparedPhotographs, seed: int, preset: str | None, severity: float | None = None
) -> Iterator[tuple[Route, DrawnDegradation | None]]:
    """Yield the route of each photograph, degraded by the preset if one is given, and the degradation drawn."""
    for (draw,) in EvaluationBatchSampler(len(photographs), 1, seed=seed):
        prepared = photographs[draw.index]
        image, drawn = prepared.image, None
        if preset is not None:
            drawn = draw_degradation(preset, seed=draw.seed, severity=severity)
            image = apply_degradation(image, prepared.mask, drawn)
        # All of the router's adaptors count as present: this is about the router alone.
        route = router.route(Photograph(image), router.settings.adaptors.values(), mask=prepared.mask)
        yield route, drawn


def confusion(config: EvaluateRouterConfig, router: Router, clear: dict[str, PreparedPhotographs]) -> ConfusionTable:
    """Count rows by true class, in the order of the classes, then clear ones by data set, then further presets."""
    found: list[tuple[str, str]] = []
    for name, photographs in tqdm(clear.items(), desc="confusion"):
        for route, _ in routes_of(router, photographs, config.seed, None):
            found += [(CLEAR, route.fault), (f"{CLEAR}: {name}", route.fault)]
        for preset in config.presets + config.further_presets:
            for seed in range(config.seed, config.seed + config.draws):
                for route, drawn in routes_of(router, photographs, seed, preset):
                    truth = fault_class(drawn) if preset in config.presets else f"preset {preset}"
                    found.append((truth, route.fault))
    table = ConfusionTable(CLASSES)
    rows = [*CLASSES, *(f"{CLEAR}: {name}" for name in clear), *(f"preset {name}" for name in config.further_presets)]
    for truth, fault in sorted(found, key=lambda pair: rows.index(pair[0])):
        table.add(truth, fault)
    return table


def touched_shares(
    config: EvaluateRouterConfig, router: Router, clear: dict[str, PreparedPhotographs]
) -> dict[str, dict[str, float]]:
    """The share of photographs that get an adaptor and the mean estimated severity, by preset and severity."""
    shares = {}
    for preset in tqdm(config.presets, desc="severities"):
        for severity in config.severities:
            routes = [
                route
                for photographs in clear.values()
                for route, _ in routes_of(router, photographs, config.seed, preset, severity)
            ]
            shares[f"{preset} {severity:g}"] = {
                "touched": float(np.mean([route.fault != CLEAR for route in routes])),
                "severity": float(np.mean([route.severity for route in routes])),
            }
    return shares


def open_graded(data_set: GradedDataSet, size: int) -> tuple[PreparedPhotographs, list[float]]:
    """A data set's photographs, and the grade of each."""
    source = data_set.photographs
    rows = load_images(source.path, split=source.split, where=source.where or None, revision=source.revision)
    if data_set.column not in rows.column_names:
        hint = did_you_mean(data_set.column, rows.column_names) or f"; there are {', '.join(rows.column_names)}"
        raise ConfigurationError(f"graded: {data_set.name}: there is no column '{data_set.column}'{hint}")
    return PreparedPhotographs(rows, size), [float(grade) for grade in rows[data_set.column]]


def graded_check(
    config: EvaluateRouterConfig,
    router: Router,
    data_set: GradedDataSet,
    photographs: PreparedPhotographs,
    grades: list[float],
) -> dict:
    """Routes of graded photographs by group of grades, and rank correlations of the estimates with the grade."""
    table = ConfusionTable(CLASSES)
    routes = [route for route, _ in routes_of(router, photographs, config.seed, None)]
    lower = [-np.inf, *data_set.edges]
    upper = [*data_set.edges, np.inf]
    for low, high in zip(lower, upper, strict=True):
        group = f"{data_set.name}, {data_set.column} " + (
            f"up to {high:g}" if low == -np.inf else f"above {low:g}" + ("" if high == np.inf else f" to {high:g}")
        )
        for grade, route in zip(grades, routes, strict=True):
            if low < grade <= high:
                table.add(group, route.fault)
    estimates = {
        f"probability of {data_set.fault}": [route.probabilities[data_set.fault] for route in routes],
        "probability of any fault": [1 - route.probabilities[CLEAR] for route in routes],
        "severity": [route.severity for route in routes],
    }
    return {
        "table": table,
        "rank_correlations": {name: rank_correlation(grades, values) for name, values in estimates.items()},
    }


def markdown(
    config: EvaluateRouterConfig, table: ConfusionTable, shares: dict[str, dict[str, float]], graded: dict[str, dict]
) -> str:
    """All checks as tables."""
    sections = [
        "Routed to, in % of each row's photographs:",
        table.to_markdown(),
        f"Mean share on the diagonal: {table.accuracy():.1%}",
        "Photographs that get an adaptor, in %, and the mean estimated severity, by the preset's severity:",
        markdown_table(
            ["", *(f"{severity:g}" for severity in config.severities)],
            (
                [preset, *(cell(shares[f"{preset} {severity:g}"]) for severity in config.severities)]
                for preset in config.presets
            ),
            text_columns=1,
        ),
    ]
    for name, check in graded.items():
        sections += [f"{name}, real photographs by grade:", check["table"].to_markdown()]
        sections += [f"Spearman's rank correlation with the grade: {correlations_text(check)}"]
    return "\n\n".join(sections) + "\n"


def cell(found: dict[str, float]) -> str:
    return f"{100 * found['touched']:.0f} ({found['severity']:.2f})"


def correlations_text(check: dict) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in check["rank_correlations"].items())


def main(config: EvaluateRouterConfig) -> None:
    router = load_router(config.router or router_folder())
    folder = Path(config.output_folder)
    store_configuration(config, folder / "config.yaml")
    # All of them first, so that a mistyped folder or column is reported now, not in the middle of the work.
    clear = {
        data_set.name: PreparedPhotographs(open_sources([data_set.photographs]), config.photograph_size)
        for data_set in config.clear
    }
    opened = [open_graded(data_set, config.photograph_size) for data_set in config.graded]
    table = confusion(config, router, clear)
    shares = touched_shares(config, router, clear)
    graded = {
        data_set.name: graded_check(config, router, data_set, photographs, grades)
        for data_set, (photographs, grades) in zip(config.graded, opened, strict=True)
    }
    text = markdown(config, table, shares, graded)
    with write_file_atomically(folder / "results.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    results = {
        "clear_threshold": router.settings.clear_threshold,
        "accuracy": table.accuracy(),
        "confusion": table.counts,
        "severities": shares,
        "graded": {name: check | {"table": check["table"].counts} for name, check in graded.items()},
    }
    with write_file_atomically(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    run_recipe(main, EvaluateRouterConfig, description=__doc__)
