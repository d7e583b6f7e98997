"""How many training images a second one processor core makes, and what the time goes into.

    python recipes/benchmark.py data
    python recipes/benchmark.py data --photographs corpus/full_resolution

Everything runs on one thread and is timed by that thread's own processor time, which other programs do not lengthen,
though they make it vary. Steps are medians, presets and whole items means, over `draws` draws of `most_photographs`
photographs, which take turns. Writes its JSON, and the section of the document from it.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cv2

from benchmarks._documented_results import document_results
from retina_adapt.configuration import parse_configuration
from retina_adapt.data import DegradedPairs, DegradePair, Draw, PreparedPhotograph, PreparedPhotographs, load_images
from retina_adapt.data.draws import seed_of
from retina_adapt.data.preparation import cut_and_resize, find_crop, mirror_outside
from retina_adapt.data.tensors import image_tensor, mask_tensor
from retina_adapt.degradations import apply_degradation, apply_step, draw_degradation, preset_names
from retina_adapt.imaging import decode_photograph, find_photographs
from retina_adapt.markdown import markdown_table

KINDS = ("streamed", "prepared")
Result = TypeVar("Result")


@dataclass
class DataBenchmarkConfig:
    """What to measure.

    Args:
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        photographs: folder of clear photographs.
        most_photographs: of them, at most.
        size: side of the training images in pixels.
        draws: degradations of each preset.
        preset: of the path from file to item, step by step.
        rates: training images a second that one GPU takes, for which worker cores are counted.
        seed: of the draws.
        only_document: measure nothing; write the document from the results there are.
    """

    results: str = "docs/results/data.json"
    document: str = "docs/data.md"
    photographs: str = "corpus/hrf/train"
    most_photographs: int = 4
    size: int = 512
    draws: int = 16
    preset: str = "mixed"
    rates: list[int] = field(default_factory=lambda: [10, 50, 200])
    seed: int = 0
    only_document: bool = False


class Stopwatch:
    """Processor time of this thread, summed by what was done, one sum for each item."""

    def __init__(self) -> None:
        self.items: list[dict[str, float]] = []

    def begin_item(self) -> None:
        """What is timed from here on belongs to a new item."""
        self.items.append(defaultdict(float))

    def time(self, what: str, run: Callable[[], Result]) -> Result:
        """Run, and add its time to the item's."""
        started = time.thread_time()
        result = run()
        self.items[-1][what] += time.thread_time() - started
        return result

    def milliseconds(self) -> dict[str, float]:
        """The median over the items in which something was done."""
        names = dict.fromkeys(name for item in self.items for name in item)
        return {name: 1000 * statistics.median(item[name] for item in self.items if name in item) for name in names}

    def mean_milliseconds(self) -> float:
        """All that was timed, by item."""
        return 1000 * sum(sum(item.values()) for item in self.items) / len(self.items)


def measure_presets(photographs: list[PreparedPhotograph], config: DataBenchmarkConfig) -> dict[str, Any]:
    """Degradation alone: milliseconds an image of every preset, and of every step."""
    by_preset, steps = {}, Stopwatch()
    for preset in preset_names():
        whole = Stopwatch()
        for number in range(config.draws):
            photograph = photographs[number % len(photographs)]
            drawn = draw_degradation(preset, seed=seed_of(config.seed, number))
            whole.begin_item()
            whole.time(preset, lambda p=photograph, d=drawn: apply_degradation(p.image, p.mask, d))
            for step in drawn.steps:
                steps.begin_item()
                steps.time(step.name, lambda p=photograph, s=step: apply_step(p.image, p.mask, s))
        # The mean and not the median: a preset's draws differ, and a worker makes all of them.
        by_preset[preset] = whole.mean_milliseconds()
    return {"presets": by_preset, "steps": dict(sorted(steps.milliseconds().items()))}


def measure_streamed(paths: list[Path], config: DataBenchmarkConfig) -> dict[str, float]:
    """The path of a stream's item, from the file's bytes to tensors, step by step."""
    stopwatch = Stopwatch()
    for number in range(config.draws):
        path = paths[number % len(paths)]
        encoded, name = path.read_bytes(), str(path)
        stopwatch.begin_item()
        photograph = stopwatch.time("decode", lambda e=encoded, n=name: decode_photograph(e, n))
        crop = stopwatch.time(
            "find the field of view", lambda p=photograph, n=name: find_crop(p, n, mask=None, field_of_view="auto")
        )
        prepared = stopwatch.time(
            "cut and resize", lambda p=photograph, c=crop, n=name: cut_and_resize(p.pixels, c, config.size, n)
        )
        _finish_item(stopwatch, prepared, number, config)
    return stopwatch.milliseconds() | {"mean of all": stopwatch.mean_milliseconds()}


def measure_prepared(pairs: DegradedPairs, config: DataBenchmarkConfig) -> dict[str, float]:
    """The path of an item whose photograph was prepared before, step by step."""
    stopwatch = Stopwatch()
    for number in range(config.draws):
        stopwatch.begin_item()
        prepared = stopwatch.time("read", lambda n=number: pairs.prepared[n % len(pairs)])
        _finish_item(stopwatch, prepared, number, config)
    return stopwatch.milliseconds() | {"mean of all": stopwatch.mean_milliseconds()}


def _finish_item(
    stopwatch: Stopwatch, photograph: PreparedPhotograph, number: int, config: DataBenchmarkConfig
) -> None:
    image, mask = photograph.image, photograph.mask
    drawn = draw_degradation(config.preset, seed=seed_of(config.seed, number))
    low = stopwatch.time(f"degrade ({config.preset})", lambda: apply_degradation(image, mask, drawn))
    low = stopwatch.time("mirror outside", lambda: mirror_outside(low, mask))
    stopwatch.time("tensors", lambda: (image_tensor(low), image_tensor(image), mask_tensor(mask)))


def section(measured: dict[str, Any]) -> list[str]:
    """The section of the document from the results alone."""
    settings = measured["settings"]
    parts = [
        "```sh\npython recipes/benchmark.py data\n```",
        "measures one thread's processor time and counts the cores that feed one GPU. Photographs of "
        f"`{settings['photographs']}` ({measured['megapixels']:.1f} megapixels), training images of "
        f"{settings['size']} px.",
        markdown_table(
            ["preset", "ms an image", "images a second a core"],
            ([name, f"{value:.1f}", f"{1000 / value:.0f}"] for name, value in measured["presets"].items()),
            text_columns=1,
        ),
        markdown_table(
            ["step of a preset", "ms"],
            ([name, f"{value:.1f}"] for name, value in measured["steps"].items()),
            text_columns=1,
        ),
    ]
    for kind in KINDS:
        whole = measured[kind]["mean of all"]
        steps = {name: value for name, value in measured[kind].items() if name != "mean of all"}
        rows = [[name, f"{value:.1f}", f"{value / sum(steps.values()):.0%}"] for name, value in steps.items()]
        rows.append(["all, mean", f"{whole:.1f}", f"{1000 / whole:.0f} images a second a core"])
        parts.append(markdown_table([f"a {kind} item", "ms", "share"], rows, text_columns=1))
    header = ["images a second that a GPU takes", *(f"worker cores, {kind}" for kind in KINDS)]
    cores = (
        [str(rate), *(f"{rate * measured[kind]['mean of all'] / 1000:.1f}" for kind in KINDS)]
        for rate in settings["rates"]
    )
    return [*parts, markdown_table(header, cores, text_columns=0)]


def measure(config: DataBenchmarkConfig) -> dict[str, Any]:
    """Milliseconds by preset, by step, and by part of a streamed and of a prepared item."""
    cv2.setNumThreads(1)
    paths = find_photographs(config.photographs)[: config.most_photographs]
    rows = load_images(config.photographs).select(range(len(paths)))
    pairs = DegradedPairs(PreparedPhotographs(rows, config.size), DegradePair(config.preset))
    # The first item pays for imports and for memory's first touch.
    pairs[Draw(0, 0)]
    pixels = [decode_photograph(path.read_bytes(), str(path)).pixels for path in paths]
    return {
        "settings": {"photographs": config.photographs, "size": config.size, "rates": config.rates},
        "megapixels": statistics.mean(frame.shape[0] * frame.shape[1] for frame in pixels) / 1e6,
        **measure_presets([pairs.prepared[index] for index in range(len(pairs))], config),
        "streamed": measure_streamed(paths, config),
        "prepared": measure_prepared(pairs, config),
    }


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(DataBenchmarkConfig, description=__doc__)
    document_results("data", config, lambda: measure(config), section)
