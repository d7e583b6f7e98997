"""What a training step costs in memory, time and arithmetic, measured."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._timing import Clock, median_seconds
from benchmarks.claims.arms import FullFineTuningStep, ScratchStep
from retina_adapt.adaptation import AdaptationLossWeights, AutoencoderAdaptationStep, DenoiserAdaptationStep
from retina_adapt.adaptors import (
    AdaptorSettings,
    FrozenBackboneError,
    FrozenBackboneGuard,
    attach_adaptor,
    train_only,
)
from retina_adapt.backbones import ReconstructionBackbone, load_backbone
from retina_adapt.configuration import ConfigurationError
from retina_adapt.embedded import DEFAULT_BACKBONE, backbone_folder
from retina_adapt.suggestions import did_you_mean
from retina_adapt.training.dry_run import process_peak_bytes

ADAPTOR = "adaptor"
STEPS_FOR_MEMORY = 2
"""The optimiser's state is there after the first one."""
PRELOADED = ["datasets", "diffusers", "peft", "retina_adapt.enhancement"]
"""What takes seconds to import, and each process would import."""

HOOK_GROUPS = {
    "adaptor": ["encoder", "decoder"],
    "adaptor, decoder only": ["decoder"],
    "adaptor, denoiser only": ["denoiser.mid"],
    "LoRA": ["encoder", "decoder"],
}
"""The arms that are adaptors, and where they sit."""

WHOLE_PARTS = ("full fine-tuning", "scratch", "full fine-tuning of the denoiser")
ARMS = (*HOOK_GROUPS, *WHOLE_PARTS)


def embedded_adaptor() -> AdaptorSettings:
    """The size of the embedded adaptors, as in recipes/configs/adapt_light.yaml."""
    return AdaptorSettings(bottleneck_channels=8, context_grid=4, context_channels=16)


@dataclass
class TrainingBenchmarkConfig:
    """Everything that this benchmark reads.

    Args:
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        backbone: name of an embedded backbone, or a backbone folder.
        arms: what to measure.
        adaptor: kind and size of our adaptor; each arm has hook groups of its own.
        lora_rank: 9 has about as many parameters on `nano` as our adaptor.
        batch_size: frames in a step.
        repeats: steps that are timed; medians are reported.
        device: cpu or cuda.
        threads: of PyTorch on the CPU.
        only_document: measure nothing; write the document from the results there are.
    """

    results: str = "docs/results/training.json"
    document: str = "docs/results.md"
    backbone: str = DEFAULT_BACKBONE
    arms: list[str] = field(default_factory=lambda: list(ARMS))
    adaptor: AdaptorSettings = field(default_factory=embedded_adaptor)
    lora_rank: int = 9
    batch_size: int = 4
    repeats: int = 5
    device: str = "cpu"
    threads: int = 1
    only_document: bool = False

    def __post_init__(self) -> None:
        for arm in self.arms:
            if arm not in ARMS:
                raise ConfigurationError(f"there is no arm '{arm}'{did_you_mean(arm, ARMS)}; known: {', '.join(ARMS)}")
        if self.repeats < 1 or self.batch_size < 1:
            raise ConfigurationError("repeats and batch_size must be at least 1")


@dataclass
class Memory:
    """What an arm held, in bytes.

    Attributes:
        trainable_parameters: their number.
        gradients: stored after the backward pass.
        optimizer_state: after the first step.
        peak: above what the process held before the backbone was loaded; on a GPU what torch allocated at most.
        process_peak: of the whole process, Python and PyTorch themselves included.
    """

    trainable_parameters: int
    gradients: int
    optimizer_state: int
    peak: int
    process_peak: int


@dataclass
class Measured(Memory):
    """The costs of one arm.

    Attributes:
        arm, checkpointing: which one.
        seconds: of a step, the median.
        floating_point_operations: in a step.
    """

    arm: str
    checkpointing: bool
    seconds: float
    floating_point_operations: int


class Arm:
    """A network, what of it is trained, and its optimiser."""

    def __init__(self, name: str, checkpointing: bool, config: TrainingBenchmarkConfig) -> None:
        self.backbone = load_backbone(backbone_folder(config.backbone)).to(config.device).requires_grad_(False)
        self.guard = FrozenBackboneGuard(self.backbone) if name in HOOK_GROUPS else None
        torch.manual_seed(0)
        self.step, self.trained = build_step(name, self.backbone, config)
        # After the step is built: training from scratch has another autoencoder.
        self.step.backbone.enable_gradient_checkpointing(checkpointing)
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4)
        self.batch = random_batch(self.backbone, config)

    def __call__(self) -> int:
        """Take one optimiser step, as the training loop does; return the bytes of the gradients that it stored."""
        self.step.train()
        self.step(self.batch)["loss"].backward()
        if self.guard is not None:
            require_gradients_of_adaptors_alone(self.step, self.trained)
        gradients = sum(parameter.grad.nbytes for parameter in self.step.parameters() if parameter.grad is not None)
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return gradients

    @property
    def optimizer_state(self) -> int:
        """Its bytes."""
        states = self.optimizer.state.values()
        return sum(value.nbytes for state in states for value in state.values() if isinstance(value, Tensor))

    def check(self) -> None:
        """Raises FrozenBackboneError if a backbone tensor under adaptors changed, or the optimiser holds one."""
        if self.guard is not None:
            self.guard.check_optimizer(self.optimizer)
            self.guard.check()


def build_step(
    name: str, backbone: ReconstructionBackbone, config: TrainingBenchmarkConfig
) -> tuple[nn.Module, list[nn.Parameter]]:
    """The training step of an arm and the parameters that it trains; the losses are the recipe's own."""
    losses = AdaptationLossWeights()
    if name in HOOK_GROUPS:
        settings = replace(config.adaptor, hook_groups=HOOK_GROUPS[name])
        if name == "LoRA":
            settings = replace(settings, kind="lora", rank=config.lora_rank)
        adapted = attach_adaptor(backbone, settings.to_peft_config(), ADAPTOR)
        in_denoiser = any(group.startswith("denoiser") for group in settings.hook_groups)
        step = DenoiserAdaptationStep(backbone) if in_denoiser else AutoencoderAdaptationStep(backbone, losses)
        return step, train_only(adapted, ADAPTOR, settings.hook_groups)
    if name == "full fine-tuning of the denoiser":
        return DenoiserAdaptationStep(backbone), list(backbone.denoiser.requires_grad_(True).parameters())
    if name == "full fine-tuning":
        step = FullFineTuningStep(backbone, losses)
    else:
        untrained = type(backbone.autoencoder).from_config(backbone.autoencoder.config)
        plain = ReconstructionBackbone(untrained, None, None, backbone.settings).to(backbone.latent_mean.device)
        step = ScratchStep(plain, losses, input_skip=False)
    return step, list(step.backbone.autoencoder.requires_grad_(True).parameters())


def random_batch(backbone: ReconstructionBackbone, config: TrainingBenchmarkConfig) -> dict[str, Tensor]:
    """Pairs of frames of the backbone's size."""
    settings = backbone.settings
    shape = (config.batch_size, settings.image_channels, settings.image_size, settings.image_size)
    return {
        "low": torch.rand(shape, device=config.device),
        "high": torch.rand(shape, device=config.device),
        "mask": torch.ones(shape[0], 1, *shape[2:], dtype=torch.bool, device=config.device),
        "seed": torch.arange(config.batch_size, device=config.device),
    }


def require_gradients_of_adaptors_alone(step: nn.Module, trained: list[nn.Parameter]) -> None:
    """Raises FrozenBackboneError if a parameter that is not trained has a gradient."""
    own = {id(parameter) for parameter in trained}
    foreign = [
        name for name, parameter in step.named_parameters() if parameter.grad is not None and id(parameter) not in own
    ]
    if foreign:
        raise FrozenBackboneError(
            f"{len(foreign)} tensors of the backbone hold gradients, the first being {foreign[0]}"
        )


def measure_memory(config: TrainingBenchmarkConfig, name: str, checkpointing: bool) -> Memory:
    """What this process holds at most over a few steps; call it in a process of its own."""
    torch.set_num_threads(config.threads)
    on_gpu = config.device.startswith("cuda")
    before = 0 if on_gpu else psutil.Process().memory_info().rss
    arm = Arm(name, checkpointing, config)
    gradients = [arm() for _ in range(STEPS_FOR_MEMORY)]
    peak = torch.cuda.max_memory_allocated() if on_gpu else process_peak_bytes()
    arm.check()
    return Memory(
        trainable_parameters=sum(parameter.numel() for parameter in arm.trained),
        gradients=max(gradients),
        optimizer_state=arm.optimizer_state,
        peak=peak - before,
        process_peak=process_peak_bytes(),
    )


def measure_steps(
    config: TrainingBenchmarkConfig, cases: list[tuple[str, bool]]
) -> dict[tuple[str, bool], tuple[float, int]]:
    """Seconds of a step, the arms taking turns, and floating-point operations, by case."""
    arms = {case: Arm(*case, config) for case in cases}
    operations = {}
    for case, arm in arms.items():  # this warms up as well
        with FlopCounterMode(display=False) as counter:
            arm()
        operations[case] = counter.get_total_flops()
    seconds = median_seconds(arms, Clock(config.device, config.threads), rounds=config.repeats, warm_up=False)
    return {case: (seconds[case], operations[case]) for case in cases}


def measure(config: TrainingBenchmarkConfig) -> dict[str, Any]:
    """Every arm, without and with checkpointing, as JSON can hold it."""
    torch.set_num_threads(config.threads)
    cases = [(name, checkpointing) for name in config.arms for checkpointing in (False, True)]
    # A process that has imported and nothing more, of which each arm's is a copy.
    origin = get_context("forkserver")
    origin.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(max_workers=1, mp_context=origin, max_tasks_per_child=1) as processes:
        memories = {case: processes.submit(measure_memory, config, *case).result() for case in cases}
    steps = measure_steps(config, cases)
    measured = [
        Measured(
            **asdict(memories[case]),
            arm=case[0],
            checkpointing=case[1],
            seconds=seconds,
            floating_point_operations=operations,
        )
        for case, (seconds, operations) in steps.items()
    ]
    return {
        "settings": {
            "backbone": config.backbone,
            "device": config.device,
            "threads": config.threads,
            "batch_size": config.batch_size,
            "lora_rank": config.lora_rank,
        },
        "torch": torch.__version__,
        "arms": [asdict(row) for row in measured],
    }
