"""The tables of docs/scaling.md."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.scaling.measuring import Measurements
from benchmarks.scaling.plan import Job, Scale, planned
from retina_adapt.configuration import ConfigurationError
from retina_adapt.markdown import markdown_table

WIDTH = 110
FLOAT_BYTES = 4
ADAM_MOMENTS = 2

COST_COLUMNS = ["photographs", "on", "backbone", "trained", "steps", "passes", "10^15 operations", "time"]
COST_COLUMNS += ["GPU hours", "price", "prepared, GB", "cores to feed a GPU"]
STAGE_COLUMNS = ["backbone", "stage", "10^9 operations", "parameters", "trained", "state, MB", "item, ms"]


@dataclass
class Assumptions:
    """What is neither counted nor measured.

    Args:
        gpu_teraflops: 10^12 floating-point operations that one GPU really does in a second of training, far below what
            its maker lists.
        parallel_efficiency: the share of its speed, in (0, 1], that a GPU keeps when several train together.
        cores_per_gpu: of the processor, each as fast as the one that was measured, to make training items.
        price_per_gpu_hour: in whatever currency.
    """

    gpu_teraflops: float = 40.0
    parallel_efficiency: float = 0.85
    cores_per_gpu: int = 16
    price_per_gpu_hour: float = 2.0

    def __post_init__(self) -> None:
        if self.gpu_teraflops <= 0 or self.cores_per_gpu < 1 or not 0 < self.parallel_efficiency <= 1:
            raise ConfigurationError(
                "assumptions: gpu_teraflops must be positive, cores_per_gpu at least 1, parallel_efficiency in (0, 1]"
            )


def section(measurements: Measurements, assumptions: Assumptions) -> list[str]:
    """The section of the document from what was counted and measured, and what is assumed."""
    scales = planned()
    return [
        f"**Assumed, not measured:** {assumptions.gpu_teraflops:g} TFLOP/s a GPU, of which "
        f"{assumptions.parallel_efficiency:.0%} remain where several train together; {assumptions.cores_per_gpu} "
        f"processor cores for each GPU; {assumptions.price_per_gpu_hour:g} an hour of a GPU. Measured: one core of "
        f"the machine at hand does {measurements.core_operations_per_second / 1e9:.0f} GFLOP/s (torch "
        f"{measurements.torch}, float32).",
        markdown_table(COST_COLUMNS, (cost(scale, measurements, assumptions) for scale in scales), text_columns=4),
        "## What a stage takes for one image",
        markdown_table(STAGE_COLUMNS, stages(measurements), text_columns=2),
        "## The commands, row by row",
        "`photographs` is a folder with `train` and `validation`. On several machines the command is the same on "
        "each but for `$RANK`.",
        commands(scales),
    ]


def cost(scale: Scale, measurements: Measurements, assumptions: Assumptions) -> list[str]:
    """The cells of one row."""
    operations, items = measurements.operations[scale.backbone], measurements.item_seconds[scale.backbone]
    steps = {stage: counts for job in scale.jobs for stage, counts in job.steps().items()}
    seen = {stage: count * images * max(1, scale.gpus) for stage, (count, images) in steps.items()}
    total = sum(count * operations[stage] for stage, count in seen.items())
    if scale.gpus == 0:
        # The same core makes the items.
        core = measurements.core_operations_per_second
        seconds = sum(count * (operations[stage] / core + items[stage]) for stage, count in seen.items())
        cores = gpu_hours = price = "–"
    else:
        efficiency = assumptions.parallel_efficiency if scale.gpus > 1 else 1.0
        speed = assumptions.gpu_teraflops * 1e12 * efficiency
        # Whichever is slower, the GPU or the cores that feed it.
        seconds = sum(
            count / scale.gpus * max(operations[stage] / speed, items[stage] / assumptions.cores_per_gpu)
            for stage, count in seen.items()
        )
        cores = str(math.ceil(max(speed * items[stage] / operations[stage] for stage in seen)))
        hours = seconds / 3600 * scale.gpus
        gpu_hours, price = _rounded(hours), _rounded(hours * assumptions.price_per_gpu_hour)
    # Each recipe prepares the photographs at a size of its own.
    prepared = sum({measurements.prepared_bytes[scale.backbone][stage] for stage in seen})
    return [
        f"{scale.photographs:,}",
        _place(scale),
        scale.backbone,
        "adaptor" if len(scale.jobs) == 1 else "backbone, adaptor",
        f"{sum(count for count, _ in steps.values()):,}",
        _rounded(max(seen.values()) / scale.photographs),
        _rounded(total / 1e15),
        _duration(seconds),
        gpu_hours,
        price,
        "streamed" if scale.streaming else _rounded(scale.photographs * prepared / 1e9),
        cores,
    ]


def stages(measurements: Measurements) -> Iterable[list[str]]:
    """A row for each backbone and stage."""
    for backbone, counted in measurements.operations.items():
        for stage, operations in counted.items():
            parameters = measurements.parameters[backbone][stage]
            trained = measurements.trained_parameters[backbone][stage]
            # The weights; of what is trained also the gradient and the optimiser's moments.
            state = FLOAT_BYTES * (parameters + (1 + ADAM_MOMENTS) * trained)
            yield [
                backbone,
                stage,
                f"{operations / 1e9:,.1f}",
                f"{parameters:,}",
                f"{trained:,}",
                f"{state / 1e6:,.1f}",
                f"{measurements.item_seconds[backbone][stage] * 1e3:.0f}",
            ]


def commands(scales: list[Scale]) -> str:
    """A block for each row."""
    blocks = []
    for scale in scales:
        lines = "\n".join(_folded(job, scale.gpus) for job in scale.jobs)
        blocks.append(f"{scale.photographs:,} on {_place(scale)}:\n\n```sh\n{lines}\n```")
    return "\n\n".join(blocks)


def _place(scale: Scale) -> str:
    return {0: "one core", 1: "1 GPU"}.get(scale.gpus, f"{scale.gpus} GPUs")


def _folded(job: Job, gpus: int) -> str:
    lines = [""]
    for word in job.words(gpus):
        if len(lines[-1]) + len(word) > WIDTH:
            lines.append("   ")
        lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return " \\\n".join(lines)


def _rounded(number: float) -> str:
    return f"{number:,.2f}" if number < 10 else f"{number:,.0f}"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} s"
