"""Real degradation: photographs that experts have graded, and of which there is no clear one to compare with.

Measures that need none are first held against the experts' grades, and then taken before and after enhancement.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.claims.config import ClaimsConfig, GradedDataSet
from retina_adapt.embedded import DEFAULT_BACKBONE, router_folder
from retina_adapt.enhancement import Enhancer
from retina_adapt.evaluation import PictureRow, vessel_map, write_picture_sheet
from retina_adapt.evaluation.picture_sheet import PICTURE_SIDE
from retina_adapt.imaging import Photograph, find_field_of_view, read_photograph, resize
from retina_adapt.report import measure_quality, measured_frame
from retina_adapt.routing import Router, load_router, rank_correlation

MOST_ON_THE_SHEET = 8
DEVELOPMENT, HELD_OUT = "train and validation", "test"
SPLITS = {DEVELOPMENT: ("train", "validation"), HELD_OUT: ("test",)}

Measures = dict[str, float]


@dataclass(frozen=True)
class GradedPhotograph:
    """One photograph, its field of view and its grade."""

    pixels: np.ndarray
    mask: np.ndarray
    grade: float
    name: str


def enhance_graded_photographs(config: ClaimsConfig) -> dict[str, dict]:
    """Validate the measures, enhance the degraded photographs of the test split, measure again, and draw the sheet.

    Returns:
        "photographs": numbers of photographs. "correlation": Spearman's with the grade, by measure and splits.
        "before", "after", "clear": mean of each measure over the degraded test photographs, these enhanced, and the
        clear ones of the test split. "nearer": share of the degraded ones that enhancing brings nearer to the clear
        ones' mean.
    """
    graded = config.graded
    router = load_router(router_folder())
    enhancer = Enhancer.from_pretrained(DEFAULT_BACKBONE)
    enhancer.load_adaptor(graded.adaptor)
    grades: dict[str, list[float]] = {part: [] for part in SPLITS}
    measures: dict[str, list[Measures]] = {part: [] for part in SPLITS}
    before, after, clear = [], [], []
    rows: list[tuple[float, PictureRow]] = []
    for part, splits in SPLITS.items():
        for photograph in (each for split in splits for each in _photographs(graded, split)):
            found = _measures(photograph, router)
            grades[part].append(photograph.grade)
            measures[part].append(found)
            if part == HELD_OUT and _within(photograph.grade, graded.clear):
                clear.append(found)
            if part == HELD_OUT and _within(photograph.grade, graded.degraded):
                enhanced = replace(photograph, pixels=enhancer(photograph.pixels, mask=photograph.mask))
                before.append(found)
                after.append(_measures(enhanced, router))
                label = f"{photograph.name}: grade {photograph.grade:g}"
                pictures = [_small(each.pixels) for each in (photograph, enhanced)]
                rows.append((photograph.grade, PictureRow(label, pictures, [None, None])))
    rows.sort(key=lambda row: row[0])
    shown = [row for _, row in rows[:: max(1, math.ceil(len(rows) / MOST_ON_THE_SHEET))]]
    write_picture_sheet(graded.sheet, shown, ["photograph", f"enhanced by {enhancer.active_adaptor}"])
    goal = _mean(clear)
    return {
        "photographs": {part: len(found) for part, found in grades.items()} | {"degraded": len(before)},
        "correlation": {
            name: {
                part: rank_correlation(grades[part], [each[name] for each in found]) for part, found in measures.items()
            }
            for name in goal
        },
        "before": _mean(before),
        "after": _mean(after),
        "clear": goal,
        "nearer": {
            name: float(
                np.mean(
                    [
                        abs(now[name] - goal[name]) < abs(then[name] - goal[name])
                        for then, now in zip(before, after, strict=True)
                    ]
                )
            )
            for name in goal
        },
    }


def _measures(photograph: GradedPhotograph, router: Router) -> Measures:
    pixels, mask = measured_frame(photograph.pixels, photograph.mask)
    quality = measure_quality(pixels, mask)
    route = router.route(Photograph(photograph.pixels), [], mask=photograph.mask)
    return {
        "sharpness": quality.sharpness,
        "vessels found, % of the field": 100 * float(vessel_map(pixels, mask)[mask].mean()),
        "contrast of green": float(pixels[..., 1][mask].std()),
        "evenness of the light": quality.evenness,
        "brightness": quality.brightness,
        "severity by the router": route.severity,
    }


def _photographs(graded: GradedDataSet, split: str) -> Iterator[GradedPhotograph]:
    folder = Path(graded.path) / split
    for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        pixels = read_photograph(folder / row["file_name"]).pixels
        mask = find_field_of_view(pixels, name=row["file_name"]).mask
        yield GradedPhotograph(pixels, mask, float(row[graded.column]), row["file_name"])


def _small(pixels: np.ndarray) -> np.ndarray:
    """As large as the sheet shows it."""
    scale = PICTURE_SIDE / max(pixels.shape[:2])
    return resize(pixels, *(max(1, round(scale * side)) for side in pixels.shape[:2]))


def _within(value: float, bounds: list[float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _mean(measures: list[Measures]) -> Measures:
    return {name: float(np.mean([each[name] for each in measures])) for name in measures[0]}
