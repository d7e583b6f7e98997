"""What each kind of adaptor costs, measured."""

import copy
import statistics
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from benchmarks._timing import Clock, median_seconds
from retina_adapt.adaptors import (
    KINDS,
    AdaptorMetadata,
    AdaptorSettings,
    adaptor_parameters,
    adaptor_tensors,
    attach_adaptor,
    detach_adaptor,
    hot_swap,
    load_adaptor,
    merge_adaptor,
    save_adaptor,
)
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.configuration import ConfigurationError
from retina_adapt.embedded import DEFAULT_BACKBONE, backbone_folder

METADATA = AdaptorMetadata(
    data_sets=["none"],
    degradation="none",
    severity=None,
    pairs_seen=0,
    training_steps={},
    seed=0,
    recipe="recipes/benchmark.py",
    metrics={},
    protocol="not measured",
    license="Apache-2.0",
    intended_use="Untrained, for a benchmark of cost alone.",
    backbone_name="benchmarked",
)
PLAIN, MERGED = "plain backbone", ", merged"


@dataclass
class AdaptorsBenchmarkConfig:
    """Everything that this benchmark reads.

    Args:
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        backbone: name of an embedded backbone, or a backbone folder.
        kinds: the kinds to measure.
        rank: of lora, dora, loha and lokr; of boft the side of its blocks is 4.
        repeats: forward passes of each kind and state; medians are reported.
        batch_size: frames in a pass.
        device: cpu or cuda.
        threads: of PyTorch on the CPU.
        compile: also compile one adapted block of each kind; takes up to ten seconds for each.
        only_document: measure nothing; write the document from the results there are.
    """

    results: str = "docs/results/adaptors.json"
    document: str = "docs/results.md"
    backbone: str = DEFAULT_BACKBONE
    kinds: list[str] = field(default_factory=lambda: list(KINDS))
    rank: int = 8
    repeats: int = 7
    batch_size: int = 1
    device: str = "cpu"
    threads: int = 1
    compile: bool = True
    only_document: bool = False

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ConfigurationError(f"kinds unknown: {', '.join(unknown) or 'none given'}; known: {', '.join(KINDS)}")
        if self.repeats < 1 or self.batch_size < 1:
            raise ConfigurationError("repeats and batch_size must be at least 1")


@dataclass
class Measured:
    """One kind's costs. Times are medians in milliseconds.

    Attributes:
        parameters: of one adaptor.
        file_bytes: its tensor file.
        attached: a forward pass with the adaptor attached.
        merged: with the adaptor merged; None for kinds that cannot be.
        compiled: one block of the encoder, compiled.
        set_adapter: making another resident adaptor active.
        hot_swap: copying another adaptor's values in place.
        hot_swap_bytes: what a hot swap moves.
        load: reading an adaptor's files with every check, and attaching it.
    """

    parameters: int
    file_bytes: int
    attached: float
    merged: float | None
    compiled: float | None
    set_adapter: float
    hot_swap: float
    hot_swap_bytes: int
    load: float


@torch.no_grad()
def measure(config: AdaptorsBenchmarkConfig) -> dict[str, Any]:
    """The plain backbone's pass and compiled block, and every kind's costs, as JSON can hold them."""
    torch.set_num_threads(config.threads)
    backbone = load_backbone(backbone_folder(config.backbone)).to(config.device).eval().requires_grad_(False)
    settings = backbone.settings
    size = settings.image_size
    frames = torch.rand(config.batch_size, settings.image_channels, size, size, device=config.device)
    adapted = {kind: attach_two(copy.deepcopy(backbone), kind, config.rank) for kind in config.kinds}
    clock = Clock(config.device, config.threads)
    cases = {PLAIN: partial(forward, backbone, frames)}
    with ExitStack() as stack:
        for kind, model in adapted.items():
            cases[kind] = partial(forward, model.get_base_model(), frames)
            if KINDS[kind].mergeable:
                merged = copy.deepcopy(model)
                stack.enter_context(merge_adaptor(merged, "first"))
                cases[kind + MERGED] = partial(forward, merged.get_base_model(), frames)
        passes = milliseconds(cases, clock, config.repeats)
    swaps = {kind: measure_swaps(backbone, model, config, clock) for kind, model in adapted.items()}
    compiled: dict[str, float | None] = dict.fromkeys([PLAIN, *config.kinds])
    if config.compile:
        models = {PLAIN: backbone} | {kind: model.get_base_model() for kind, model in adapted.items()}
        compiled |= measure_compiled(models, frames, config.repeats, clock)
    measured = {
        kind: Measured(
            parameters=sum(parameter.numel() for parameter in adaptor_parameters(adapted[kind], "first")),
            attached=passes[kind],
            merged=passes.get(kind + MERGED),
            compiled=compiled[kind],
            **swaps[kind],
        )
        for kind in config.kinds
    }
    return {
        "settings": {"backbone": config.backbone, "device": config.device, "threads": config.threads},
        "torch": torch.__version__,
        "plain": {"pass": passes[PLAIN], "compiled_block": compiled[PLAIN]},
        "kinds": {kind: asdict(costs) for kind, costs in measured.items()},
    }


def attach_two(backbone: ReconstructionBackbone, kind: str, rank: int) -> PeftModel:
    """Two adaptors resident, the first active; their values do not matter for what they cost."""
    settings = AdaptorSettings(kind=kind, rank=4 if kind == "boft" else rank)
    if backbone.denoiser is None:
        settings.hook_groups = ["encoder", "decoder"]
    adapted = attach_adaptor(backbone, settings.to_peft_config(), "first")
    return attach_adaptor(adapted, settings.to_peft_config(), "second").requires_grad_(False)


def forward(backbone: ReconstructionBackbone, frames: Tensor) -> None:
    """Encode, call the denoiser once, decode."""
    latents = backbone.encode(frames)
    if backbone.denoiser is not None:
        timesteps = torch.full((len(frames),), 500, device=frames.device)
        latents = backbone.predict(latents, timesteps, latents)
    backbone.decode(latents)


def measure_swaps(
    plain: ReconstructionBackbone, adapted: PeftModel, config: AdaptorsBenchmarkConfig, clock: Clock
) -> dict[str, Any]:
    """`set_adapter`, `hot_swap` and `load_adaptor`, taking turns."""
    taken: dict[str, list[float]] = {"set_adapter": [], "hot_swap": [], "load": []}
    loaded: list[PeftModel] = []
    values = {key: tensor.detach().clone() for key, tensor in adaptor_tensors(adapted, "second").items()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "adaptor"
        save_adaptor(adapted, "second", folder, METADATA)
        file_bytes = (folder / "adaptor_model.safetensors").stat().st_size
        for repeat in range(config.repeats):
            name = "second" if repeat % 2 == 0 else "first"
            taken["set_adapter"].append(clock(lambda name=name: adapted.set_adapter(name, inference_mode=True)))
            taken["hot_swap"].append(clock(lambda: hot_swap(adapted, "first", values)))
            taken["load"].append(clock(lambda: loaded.append(load_adaptor(plain, folder, "loaded"))))
            detach_adaptor(loaded.pop(), "loaded")
    adapted.set_adapter("first", inference_mode=True)
    medians = {name: 1e3 * statistics.median(seconds) for name, seconds in taken.items()}
    return medians | {"hot_swap_bytes": sum(t.nbytes for t in values.values()), "file_bytes": file_bytes}


def measure_compiled(
    models: dict[str, ReconstructionBackbone], frames: Tensor, repeats: int, clock: Clock
) -> dict[str, float]:
    """The first block of each model's encoder, compiled by itself, given what it is given in a pass."""
    blocks: dict[str, Callable[[], Any]] = {}
    # They share one function's code, of which PyTorch compiles no more than this number of variants.
    torch._dynamo.config.recompile_limit = 8 + len(models)
    for name, model in models.items():
        point = next(point for point in model.hook_points() if point.group == "encoder")
        block = model.get_submodule(point.name)
        seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        hook = block.register_forward_pre_hook(
            lambda _, arguments, keywords, seen=seen: seen.append((arguments, keywords)), with_kwargs=True
        )
        model.encode(frames)
        hook.remove()
        blocks[name] = partial(torch.compile(block), *seen[0][0], **seen[0][1])
        blocks[name]()
    return milliseconds(blocks, clock, 5 * repeats)


def milliseconds(cases: Mapping[str, Callable[[], Any]], clock: Clock, rounds: int) -> dict[str, float]:
    """Medians, the cases taking turns."""
    return {case: 1e3 * seconds for case, seconds in median_seconds(cases, clock, rounds=rounds).items()}
