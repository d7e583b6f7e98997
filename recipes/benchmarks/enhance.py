"""How fast enhancement is, what each option gains, and what it costs in quality.

    python recipes/benchmark.py enhance --output_folder runs/benchmark_enhance --adaptor light

Every ratio compares runs of this process, alternating, by the median over the repetitions. Quality is PSNR in the field
of view over held-out photographs that a preset degraded.
"""

import json
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from retina_adapt.adaptors import KINDS, adaptors_bypassed, kind_of, merge_adaptor
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.configuration import parse_configuration, store_configuration
from retina_adapt.data import EvaluationBatchSampler, PairSource, PhotographSource, open_pairs
from retina_adapt.embedded import DEFAULT_BACKBONE
from retina_adapt.enhancement import EnhancementSettings, Enhancer, enhance_frames, reconstruct_frames
from retina_adapt.enhancement.tiles import lay_tiles, seam_ratio
from retina_adapt.evaluation import score_image
from retina_adapt.imaging import find_photographs, read_photograph


@dataclass
class EnhanceBenchmarkConfig:
    """What to measure.

    Args:
        output_folder: where `enhance.json` and `enhance.md` go.
        backbone: name of an embedded backbone, or a backbone folder.
        adaptor: name of an embedded adaptor, or an adaptor folder.
        photographs: clear held-out photographs for the quality of sampling.
        degradation: preset that degrades them.
        full_size: folder of photographs of a camera's size; null leaves these measurements out.
        most_photographs: of either, at most.
        steps: denoiser steps to compare with 50 of DDIM.
        schedulers: diffusers schedulers to compare.
        batch_sizes: frames at once.
        repetitions: of each timing.
        compile: measure torch.compile, which takes a minute to warm up.
        device: cpu, cuda, …
    """

    output_folder: str
    backbone: str = DEFAULT_BACKBONE
    adaptor: str = "light"
    photographs: PhotographSource = field(
        default_factory=lambda: PhotographSource(path="corpus/hrf", split="validation")
    )
    degradation: str = "light"
    full_size: str | None = "corpus/full_resolution"
    most_photographs: int = 6
    steps: list[int] = field(default_factory=lambda: [1, 2, 4, 10, 50])
    schedulers: list[str] = field(default_factory=lambda: ["DDIMScheduler", "UniPCMultistepScheduler"])
    batch_sizes: list[int] = field(default_factory=lambda: [1, 4, 16])
    repetitions: int = 5
    compile: bool = True
    device: str = "cuda" if torch.cuda.is_available() else "cpu"


Row = dict[str, Any]


def alternate(cases: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, float]:
    """Median seconds of each case; the cases take turns, so that what else the machine does touches all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repetition in range(repetitions + 1):
        for name, run in cases.items():
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            started = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if repetition:  # the first one warms up
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def sampling_quality(enhancer: Enhancer, config: EnhanceBenchmarkConfig) -> list[Row]:
    """PSNR by mode, scheduler and steps, against 50 steps of DDIM."""
    size = enhancer.backbone.settings.image_size
    pairs = open_pairs(PairSource(clear=[config.photographs], degradation=config.degradation), size)
    draws = [draw for (draw,) in EvaluationBatchSampler(len(pairs), 1, seed=0)][: config.most_photographs]
    items = [pairs[draw] for draw in draws]
    cases = {("fast", "", 0): {"mode": "fast"}}
    for scheduler in config.schedulers:
        for steps in config.steps:
            cases["diffusion", scheduler, steps] = {"mode": "diffusion", "scheduler": scheduler, "steps": steps}
    cases.setdefault(("diffusion", "DDIMScheduler", 50), {"mode": "diffusion", "steps": 50})
    rows = []
    for (mode, scheduler, steps), options in cases.items():
        scores = []
        for item in items:
            enhanced = enhance_frames(enhancer.backbone, item["low"][None].to(config.device), seeds=[0], **options)
            high, mask = item["high"].permute(1, 2, 0).numpy(), item["mask"][0].numpy()
            scores.append(score_image(enhanced[0].permute(1, 2, 0).cpu().numpy(), high, mask).psnr)
        rows.append({"mode": mode, "scheduler": scheduler, "steps": steps, "psnr": statistics.mean(scores)})
    reference = next(r["psnr"] for r in rows if (r["scheduler"], r["steps"]) == ("DDIMScheduler", 50))
    return [row | {"to DDIM 50, dB": row["psnr"] - reference} for row in rows]


def frame_times(enhancer: Enhancer, config: EnhanceBenchmarkConfig) -> list[Row]:
    """Seconds a frame: adaptor attached, merged and bypassed; modes and steps; batches; precision; layout; compile."""
    backbone = enhancer.backbone
    size, channels = backbone.settings.image_size, backbone.settings.image_channels
    frame = torch.rand(1, channels, size, size, device=config.device)

    def reconstruct(images: torch.Tensor = frame) -> torch.Tensor:
        with torch.no_grad():
            return reconstruct_frames(backbone, images)

    def bypassed() -> torch.Tensor:
        with adaptors_bypassed(backbone):
            return reconstruct()

    def half_precision() -> torch.Tensor:
        with torch.autocast(torch.device(config.device).type, torch.bfloat16):
            return reconstruct()

    rows = []

    def compare(cases: dict[str, Callable[[], Any]], per: dict[str, int] | None = None) -> None:
        """The first case is what the others are compared with."""
        seconds = alternate(cases, config.repetitions)
        by_frame = {name: value / (per or {}).get(name, 1) for name, value in seconds.items()}
        first = next(iter(by_frame))
        rows.extend(
            {"measured": name, "seconds": value, "ratio": value / by_frame[first], "to": first}
            for name, value in by_frame.items()
        )

    compare({"one pass, adaptor bypassed": bypassed, "one pass, adaptor attached": reconstruct})
    if KINDS[kind_of(enhancer.adapted.peft_config[enhancer.active_adaptor])].mergeable:
        with merge_adaptor(enhancer.adapted, enhancer.active_adaptor):
            merged = alternate({"merged": reconstruct}, config.repetitions)["merged"]
        bare = next(row["seconds"] for row in rows if row["ratio"] == 1)
        rows.append({"measured": "one pass, merged", "seconds": merged, "ratio": merged / bare, "to": rows[0]["to"]})
    modes = {"diffusion, 50 steps": ("diffusion", 50)}
    modes |= {f"diffusion, {steps} steps": ("diffusion", steps) for steps in config.steps if steps != 50}
    modes |= {"fast": ("fast", 1)}
    compare(
        {
            name: lambda mode=mode, steps=steps: enhance_frames(backbone, frame, mode=mode, steps=steps)
            for name, (mode, steps) in modes.items()
        }
    )
    batches = {f"batch of {count}, per frame": count for count in config.batch_sizes}
    images = {name: frame.expand(count, -1, -1, -1).contiguous() for name, count in batches.items()}
    compare({name: lambda name=name: reconstruct(images[name]) for name in batches}, per=batches)
    compare({"float32": reconstruct, "bfloat16 (autocast)": half_precision})
    plain = alternate({"": reconstruct}, config.repetitions)[""]
    backbone.to(memory_format=torch.channels_last)
    last = alternate({"": lambda: reconstruct(frame.to(memory_format=torch.channels_last))}, config.repetitions)[""]
    backbone.to(memory_format=torch.contiguous_format)
    rows.append({"measured": "channels-last", "seconds": last, "ratio": last / plain, "to": "float32"})
    if config.compile:
        compiled = torch.compile(reconstruct)
        compare({"not compiled": reconstruct, "torch.compile": compiled})
    return rows


class PeakMemory:
    """Largest memory of this process above what it held at the start, in MB, looked at every 5 ms."""

    def __enter__(self) -> "PeakMemory":
        self._process, self._stop = psutil.Process(), threading.Event()
        self._start = self.peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.megabytes = (self.peak - self._start) / 1e6


def full_size(enhancer: Enhancer, config: EnhanceBenchmarkConfig) -> list[Row]:
    """For a camera's photographs: where the time goes, peak memory, and seams."""
    rows = []
    for path in find_photographs(config.full_size)[: config.most_photographs]:
        started = time.perf_counter()
        photograph = read_photograph(path)
        reading = time.perf_counter() - started
        for detail in ("kept", "guided", "tiles"):
            settings = EnhancementSettings(detail=detail)
            with PeakMemory() as memory:
                times = [time.perf_counter()]
                prepared = enhancer.prepare(photograph.pixels, settings, name=path.name)
                times.append(time.perf_counter())
                (change,) = enhancer.small_changes([prepared], settings)
                times.append(time.perf_counter())
                result = enhancer.enhance(photograph, settings)
                times.append(time.perf_counter())
            seams = None
            if change.tile_side is not None:
                side = change.change.shape[0]
                tiles = lay_tiles(side, change.tile_side, prepared.working_mask)
                seams = seam_ratio(change.change, tiles, prepared.working_mask)
            prepare, network, whole = np.diff(times)
            rows.append(
                {
                    "photograph": f"{path.name} {result.image.pixels.shape[1]}x{result.image.pixels.shape[0]}",
                    "detail": detail,
                    "read, s": reading,
                    "prepare, s": prepare,
                    "network, s": network,
                    "apply, s": whole - prepare - network,
                    "peak above photograph, MB": memory.megabytes,
                    "seam ratio": seams,
                }
            )
    return rows


def markdown(title: str, rows: list[Row]) -> str:
    """A table of rows with the same keys."""
    shown = [
        [f"{value:.3f}" if isinstance(value, float) else "–" if value is None else str(value) for value in row.values()]
        for row in rows
    ]
    lines = [f"### {title}", "", *(f"| {' | '.join(cells)} |" for cells in [list(rows[0]), ["---"] * len(rows[0])])]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in shown), ""])


def main() -> None:
    config = parse_configuration(EnhanceBenchmarkConfig, description=__doc__)
    enhancer = Enhancer.from_pretrained(config.backbone, device=config.device)
    enhancer.load_adaptor(config.adaptor)
    tables = {}
    if enhancer.backbone.denoiser is not None:
        tables["Steps and schedulers"] = sampling_quality(enhancer, config)
    tables["Frames"] = frame_times(enhancer, config)
    if config.full_size is not None:
        tables["Full size"] = full_size(enhancer, config)
    folder = Path(config.output_folder)
    store_configuration(config, folder / "config.yaml")
    machine = {"device": config.device, "threads": torch.get_num_threads(), "torch": torch.__version__}
    with write_file_atomically(folder / "enhance.json") as temporary:
        temporary.write_text(json.dumps({"machine": machine, "tables": tables}, indent=1) + "\n", encoding="utf-8")
    text = "\n".join([f"{machine}\n", *(markdown(title, rows) for title, rows in tables.items())])
    with write_file_atomically(folder / "enhance.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)
