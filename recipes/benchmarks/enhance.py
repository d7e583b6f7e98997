"""How fast enhancement is, what each option gains, and what it costs in quality.

    python recipes/benchmark.py enhance --output_folder runs/benchmark_enhance --adaptor light

Every ratio compares runs of this process, alternating, by the median over the repetitions. Quality is PSNR in the field
of view over held-out photographs that a preset degraded. `full_size` measures photographs of a camera's size.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from retina_adapt.adaptors import AdaptorSettings, attach_adaptor, merge_adaptor
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.configuration import parse_configuration, store_configuration
from retina_adapt.data import EvaluationBatchSampler, PairSource, PhotographSource, open_pairs
from retina_adapt.embedded import DEFAULT_BACKBONE, backbone_folder
from retina_adapt.enhancement import Enhancer, enhance_frames, reconstruct_frames
from retina_adapt.evaluation import score_image


@dataclass
class EnhanceBenchmarkConfig:
    """What to measure.

    Args:
        output_folder: where `enhance.json` and `enhance.md` go.
        backbone: name of an embedded backbone, or a backbone folder.
        adaptor: name of an embedded adaptor, or an adaptor folder.
        photographs: clear held-out photographs for the quality of sampling.
        degradation: preset that degrades them.
        most_photographs: of them, at most.
        steps: denoiser steps to compare with 50 of DDIM.
        schedulers: diffusers schedulers to compare.
        batch_sizes: frames at once.
        repetitions: of each timing.
        compile: measure torch.compile, which takes a minute to warm up.
        threads: of PyTorch on the CPU.
        device: cpu, cuda, …
    """

    output_folder: str
    backbone: str = DEFAULT_BACKBONE
    adaptor: str = "light"
    photographs: PhotographSource = field(
        default_factory=lambda: PhotographSource(path="corpus/hrf", split="validation")
    )
    degradation: str = "light"
    most_photographs: int = 6
    steps: list[int] = field(default_factory=lambda: [1, 2, 4, 10, 50])
    schedulers: list[str] = field(default_factory=lambda: ["DDIMScheduler", "UniPCMultistepScheduler"])
    batch_sizes: list[int] = field(default_factory=lambda: [1, 4, 16])
    repetitions: int = 5
    compile: bool = True
    threads: int = 1
    device: str = "cuda" if torch.cuda.is_available() else "cpu"


Row = dict[str, Any]


def alternate(cases: dict[str, Callable[[], Any]], config: EnhanceBenchmarkConfig) -> dict[str, float]:
    """Median seconds of each case; the cases take turns, so that what else the machine does touches all alike.

    On one CPU thread it is that thread's own processor time, which other programs do not lengthen.
    """
    on_gpu = torch.device(config.device).type == "cuda"
    clock = time.thread_time if config.threads == 1 and not on_gpu else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repetition in range(config.repetitions + 1):
        for name, run in cases.items():
            if on_gpu:
                torch.cuda.synchronize()
            started = clock()
            run()
            if on_gpu:
                torch.cuda.synchronize()
            if repetition:  # the first one warms up
                seconds[name].append(clock() - started)
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
    """Seconds a frame: adaptor attached and merged; modes and steps; batches; precision; layout; compile."""
    backbone = enhancer.backbone
    size, channels = backbone.settings.image_size, backbone.settings.image_channels
    frame = torch.rand(1, channels, size, size, device=config.device)
    rows = []

    def reconstruct(own: ReconstructionBackbone = backbone, images: Tensor = frame) -> Tensor:
        with torch.no_grad():
            return reconstruct_frames(own, images)

    def half_precision() -> Tensor:
        with torch.autocast(torch.device(config.device).type, torch.bfloat16):
            return reconstruct()

    def compare(cases: dict[str, Callable[[], Any]], per: dict[str, int] | None = None) -> None:
        """The first case is what the others are compared with."""
        seconds = alternate(cases, config)
        by_frame = {name: value / (per or {}).get(name, 1) for name, value in seconds.items()}
        first = next(iter(by_frame))
        rows.extend(
            {"measured": name, "seconds": value, "ratio": value / by_frame[first], "to": first}
            for name, value in by_frame.items()
        )

    def plain() -> ReconstructionBackbone:
        return load_backbone(backbone_folder(config.backbone)).to(config.device).eval().requires_grad_(False)

    lora, last = plain(), plain().to(memory_format=torch.channels_last)
    frame_last = frame.to(memory_format=torch.channels_last)
    settings = AdaptorSettings(kind="lora", hook_groups=["encoder", "decoder"])
    adapted = attach_adaptor(lora, settings.to_peft_config(), "untrained")
    bare = plain()
    with merge_adaptor(adapted, "untrained"):
        compare(
            {
                "one pass of the plain backbone": lambda: reconstruct(bare),
                f"with the adaptor {config.adaptor} attached": reconstruct,
                "with an adaptor of the kind lora merged": lambda: reconstruct(lora),
                "with memory in the order channels-last": lambda: reconstruct(last, frame_last),
            }
        )
    modes = {}
    if backbone.denoiser is not None:
        modes = {f"diffusion, {steps} steps": ("diffusion", steps) for steps in sorted({50, *config.steps})[::-1]}
    modes |= {"fast": ("fast", 1)}
    compare(
        {
            name: lambda mode=mode, steps=steps: enhance_frames(backbone, frame, mode=mode, steps=steps)
            for name, (mode, steps) in modes.items()
        }
    )
    batches = {f"batch of {count}, a frame": count for count in config.batch_sizes}
    images = {name: frame.expand(count, -1, -1, -1).contiguous() for name, count in batches.items()}
    compare({name: lambda name=name: reconstruct(images=images[name]) for name in batches}, per=batches)
    compare({"float32": reconstruct, "bfloat16 (autocast)": half_precision})
    if config.compile:
        compiled = torch.compile(reconstruct)
        compare({"not compiled": reconstruct, "torch.compile": compiled})
    return rows


def floor(enhancer: Enhancer, config: EnhanceBenchmarkConfig) -> list[Row]:
    """A pass of the network against the time that its multiplications would take as one large matrix product.

    Convolutions by Winograd's algorithm need fewer multiplications than are counted, and may undercut that.
    """
    backbone = enhancer.backbone
    size, channels = backbone.settings.image_size, backbone.settings.image_channels
    frame = torch.rand(1, channels, size, size, device=config.device)
    matrix = torch.rand(2048, 2048, device=config.device)

    def one_pass() -> Tensor:
        with torch.no_grad():
            return reconstruct_frames(backbone, frame)

    with FlopCounterMode(display=False) as counter:
        one_pass()
    operations = counter.get_total_flops()
    seconds = alternate({"pass": one_pass, "product": lambda: matrix @ matrix}, config)
    rate = 2 * 2048**3 / seconds["product"]
    row = {
        "operations of a pass, 10^9": operations / 1e9,
        "of a matrix product, 10^9 a second": rate / 1e9,
        "floor of a pass, s": operations / rate,
        "measured, s": seconds["pass"],
        "over the floor": seconds["pass"] * rate / operations,
    }
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(config.repetitions):
            one_pass()
    events = profile.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    longest = sorted(events, key=lambda event: event.self_cpu_time_total, reverse=True)[:6]
    row["where it goes"] = ", ".join(
        f"{event.key.removeprefix('aten::')} {event.self_cpu_time_total / total:.0%}" for event in longest
    )
    return [{"of one pass": name, "is": value} for name, value in row.items()]


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
    torch.set_num_threads(config.threads)
    # As reading a photograph of a camera's size does: once glibc has freed so large a piece, it keeps what layers free
    # instead of giving it back to the system and asking for it again, which would be a third of an adapted pass.
    torch.empty(24_000_000, dtype=torch.uint8)
    enhancer = Enhancer.from_pretrained(config.backbone, device=config.device)
    enhancer.load_adaptor(config.adaptor)
    tables = {}
    if enhancer.backbone.denoiser is not None:
        tables["Steps and schedulers"] = sampling_quality(enhancer, config)
    tables["Frames"] = frame_times(enhancer, config)
    tables["Floor"] = floor(enhancer, config)
    folder = Path(config.output_folder)
    store_configuration(config, folder / "config.yaml")
    machine = {"device": config.device, "threads": torch.get_num_threads(), "torch": torch.__version__}
    with write_file_atomically(folder / "enhance.json") as temporary:
        temporary.write_text(json.dumps({"machine": machine, "tables": tables}, indent=1) + "\n", encoding="utf-8")
    text = "\n".join([f"{machine}\n", *(markdown(title, rows) for title, rows in tables.items())])
    with write_file_atomically(folder / "enhance.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)
