"""How fast enhancement is, and what each option costs in quality, measured."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._timing import Clock, median_seconds
from retina_adapt.adaptors import AdaptorSettings, attach_adaptor, merge_adaptor
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.data import EvaluationBatchSampler, PairSource, PhotographSource, open_pairs
from retina_adapt.embedded import DEFAULT_BACKBONE, backbone_folder
from retina_adapt.enhancement import Enhancer, enhance_frames, reconstruct_frames
from retina_adapt.evaluation import score_image


@dataclass
class EnhanceBenchmarkConfig:
    """What to measure.

    Args:
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        backbone: name of an embedded backbone, or a backbone folder.
        adaptor: name of an embedded adaptor, or an adaptor folder.
        photographs: clear held-out photographs for the quality of sampling.
        degradation: preset that degrades them.
        most_photographs: of them, at most.
        steps: sampling steps to compare with 50 of DDIM.
        schedulers: diffusers schedulers to compare.
        batch_sizes: frames at once.
        repetitions: of each timing.
        compile: measure torch.compile too, which takes minutes to warm up on a CPU.
        threads: of PyTorch on the CPU.
        device: cpu, cuda, …
        only_document: measure nothing; write the document from the results there are.
    """

    results: str = "docs/results/enhance.json"
    document: str = "docs/results.md"
    backbone: str = DEFAULT_BACKBONE
    adaptor: str = "light"
    photographs: PhotographSource = field(
        default_factory=lambda: PhotographSource(path="corpus/hrf", split="validation")
    )
    degradation: str = "light"
    most_photographs: int = 3
    steps: list[int] = field(default_factory=lambda: [1, 2, 4, 50])
    schedulers: list[str] = field(default_factory=lambda: ["DDIMScheduler", "UniPCMultistepScheduler"])
    batch_sizes: list[int] = field(default_factory=lambda: [1, 4, 16])
    repetitions: int = 3
    compile: bool = False
    threads: int = 1
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    only_document: bool = False


Row = dict[str, Any]

REFERENCE = ("diffusion", "DDIMScheduler", 50)
PLAIN, ATTACHED, MERGED = "one pass of the plain backbone", "with the adaptor attached", "with a LoRA merged"
MANY_STEPS, FAST = "diffusion, 50 steps", "fast"


def sampling_quality(enhancer: Enhancer, config: EnhanceBenchmarkConfig) -> list[Row]:
    """PSNR by mode, scheduler and steps, and its difference to that of `REFERENCE`."""
    size = enhancer.backbone.settings.image_size
    pairs = open_pairs(PairSource(clear=[config.photographs], degradation=config.degradation), size)
    draws = [draw for (draw,) in EvaluationBatchSampler(len(pairs), 1, seed=0)][: config.most_photographs]
    items = [pairs[draw] for draw in draws]
    cases = {("fast", "", 0): {"mode": "fast"}}
    for scheduler in config.schedulers:
        for steps in config.steps:
            cases["diffusion", scheduler, steps] = {"mode": "diffusion", "scheduler": scheduler, "steps": steps}
    cases.setdefault(REFERENCE, {"mode": "diffusion", "scheduler": REFERENCE[1], "steps": REFERENCE[2]})
    rows = []
    for (mode, scheduler, steps), options in cases.items():
        scores = []
        for item in items:
            enhanced = enhance_frames(enhancer.backbone, item["low"][None].to(config.device), seeds=[0], **options)
            high, mask = item["high"].permute(1, 2, 0).numpy(), item["mask"][0].numpy()
            scores.append(score_image(enhanced[0].permute(1, 2, 0).cpu().numpy(), high, mask).psnr)
        rows.append({"mode": mode, "scheduler": scheduler, "steps": steps, "psnr": statistics.mean(scores)})
    reference = next(row["psnr"] for row in rows if (row["mode"], row["scheduler"], row["steps"]) == REFERENCE)
    return [row | {"to_reference": row["psnr"] - reference} for row in rows]


def frame_times(enhancer: Enhancer, config: EnhanceBenchmarkConfig) -> list[Row]:
    """Seconds a frame: adaptor attached and merged; modes and steps; batches; precision; layout; compile."""
    backbone = enhancer.backbone
    size, channels = backbone.settings.image_size, backbone.settings.image_channels
    frame = torch.rand(1, channels, size, size, device=config.device)
    clock = Clock(config.device, config.threads)
    rows = []

    def reconstruct(own: ReconstructionBackbone = backbone, images: Tensor = frame) -> Tensor:
        with torch.no_grad():
            return reconstruct_frames(own, images)

    def half_precision() -> Tensor:
        with torch.autocast(torch.device(config.device).type, torch.bfloat16):
            return reconstruct()

    def compare(cases: dict[str, Callable[[], Any]], per: dict[str, int] | None = None) -> None:
        """The first case is what the others are compared with."""
        seconds = median_seconds(cases, clock, rounds=config.repetitions)
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
                PLAIN: lambda: reconstruct(bare),
                ATTACHED: reconstruct,
                MERGED: lambda: reconstruct(lora),
                "with memory in the order channels-last": lambda: reconstruct(last, frame_last),
            }
        )
    modes = {}
    if backbone.denoiser is not None:
        modes = {f"diffusion, {steps} steps": ("diffusion", steps) for steps in sorted({50, *config.steps})[::-1]}
    modes |= {FAST: ("fast", 1)}
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


def floor(enhancer: Enhancer, config: EnhanceBenchmarkConfig) -> Row:
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
    seconds = median_seconds(
        {"pass": one_pass, "product": lambda: matrix @ matrix},
        Clock(config.device, config.threads),
        rounds=config.repetitions,
    )
    rate = 2 * 2048**3 / seconds["product"]
    found: dict[str, Any] = {
        "operations": operations,
        "rate": rate,
        "floor": operations / rate,
        "measured": seconds["pass"],
    }
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(config.repetitions):
            one_pass()
    events = profile.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    longest = sorted(events, key=lambda event: event.self_cpu_time_total, reverse=True)[:6]
    shares = {event.key.removeprefix("aten::"): event.self_cpu_time_total / total for event in longest}
    return found | {"shares": shares}


def measure(config: EnhanceBenchmarkConfig) -> dict[str, Any]:
    """All measurements, as JSON can hold them; those of sampling are empty for a backbone without a denoiser."""
    torch.set_num_threads(config.threads)
    # As reading a photograph of a camera's size does: once glibc has freed so large a piece, it keeps what layers free
    # instead of giving it back to the system and asking for it again, which would be a third of an adapted pass.
    torch.empty(24_000_000, dtype=torch.uint8)
    enhancer = Enhancer.from_pretrained(config.backbone, device=config.device)
    enhancer.load_adaptor(config.adaptor)
    samples = enhancer.backbone.denoiser is not None
    return {
        "settings": {
            "backbone": config.backbone,
            "adaptor": config.adaptor,
            "degradation": config.degradation,
            "photographs": config.most_photographs,
            "repetitions": config.repetitions,
            "device": config.device,
            "threads": config.threads,
        },
        "torch": torch.__version__,
        "sampling": sampling_quality(enhancer, config) if samples else [],
        "frames": frame_times(enhancer, config),
        "floor": floor(enhancer, config),
    }
