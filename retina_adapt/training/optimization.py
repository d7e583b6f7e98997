"""One optimiser step: what it trains, over which micro-batches, on how many processes."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, send_to_device, set_seed
from torch import Tensor, nn

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.training.checkpoint import TrainingState
from retina_adapt.training.interruption import StopRequest
from retina_adapt.training.moving_average import MovingAverage
from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.sharding import ShardedRoot, whole

Batch = dict[str, Tensor]
OptimizerMaker = Callable[[list[nn.Parameter], TrainingSettings], torch.optim.Optimizer]


class NothingToTrainError(RetinaAdaptError):
    """No parameter of the training step requires a gradient."""


class UnsupportedStrategyError(RetinaAdaptError):
    """The launcher was configured for a parallel strategy whose state checkpoints cannot hold."""


class UnusedParameterError(RetinaAdaptError):
    """A parameter is to be trained, but the loss does not depend on it, or the optimiser does not hold it."""


class BatchesEndedError(RetinaAdaptError):
    """There are fewer micro-batches than the training's steps need."""


def prepare_training(
    training_step: nn.Module,
    name: str,
    accelerator: Accelerator,
    settings: TrainingSettings,
    make_optimizer: OptimizerMaker,
    inspect_optimizer: Callable[[torch.optim.Optimizer], None],
) -> tuple[TrainingState, nn.Module, torch.optim.Optimizer]:
    """The state at step 0, and the training step and optimiser as the accelerator prepared them.

    Raises:
        UnsupportedStrategyError: the accelerator was configured for DeepSpeed, Megatron-LM or the first FSDP.
        NothingToTrainError: no parameter requires a gradient.
        UnusedParameterError: the optimiser lacks a parameter that requires one, which would silently keep its value.
    """
    if accelerator.distributed_type in (DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise UnsupportedStrategyError(
            f"{accelerator.distributed_type.value} keeps its optimiser's state in pickled files of its own; use "
            "recipes/configs/accelerate/fsdp2.yaml, which shards that state over the processes too, or ddp.yaml"
        )
    if accelerator.distributed_type == DistributedType.FSDP:
        if not accelerator.is_fsdp2:
            raise UnsupportedStrategyError(
                "the launcher was configured for the first version of FSDP, whose shards no checkpoint here can hold; "
                "give it fsdp_version: 2, as recipes/configs/accelerate/fsdp2.yaml does"
            )
        # Autocast casts what may be cast. A policy would cast everything that goes into `forward`, including the
        # losses' targets, and would leave half-precision parameters to a validation, which does not go through
        # `forward`.
        accelerator.state.fsdp_plugin.mixed_precision_policy = None
    trainable = [parameter for parameter in training_step.parameters() if parameter.requires_grad]
    if not trainable:
        raise NothingToTrainError(f"{name}: no parameter requires a gradient; check which hook groups are chosen")
    optimizer = make_optimizer(trainable, settings)
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    named = training_step.named_parameters()
    _refuse_unused(
        [key for key, parameter in named if parameter.requires_grad and id(parameter) not in held],
        reason="the optimiser does not hold",
        remedy="make an optimiser of all parameters that it is given",
    )
    inspect_optimizer(optimizer)
    called = ShardedRoot(training_step) if accelerator.is_fsdp2 else training_step
    prepared_step, prepared_optimizer = accelerator.prepare(called, optimizer)
    # These settings apply, whatever the accelerator was made with and wherever its earlier training was stopped.
    accelerator.gradient_accumulation_steps = settings.gradient_accumulation
    accelerator.step = 0
    # Only now are the parameters on their device, the same on all processes, and sharded if they are to be.
    parameters = {key: parameter for key, parameter in training_step.named_parameters() if parameter.requires_grad}
    average = MovingAverage(parameters, settings.moving_average_decay) if settings.moving_average_decay else None
    return TrainingState(parameters, optimizer, average), prepared_step, prepared_optimizer


def adamw(parameters: list[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) with the settings' learning rate and weight decay."""
    return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def take_step(
    prepared_step: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    settings: TrainingSettings,
    state: TrainingState,
    batches: Iterator[Batch],
    *,
    stop: StopRequest,
    all_are_used: bool = False,
) -> tuple[dict[str, float], bool]:
    """Take one optimiser step over `gradient_accumulation` micro-batches.

    Args:
        all_are_used: whether to refuse a parameter that gets no gradient, as a training does at its first step: on
            several processes, the second step would fail in torch's reducer; on one, the parameter would silently keep
            its initial value.

    Returns:
        The losses, as means over micro-batches and processes, with the "gradient_norm" before clipping; and whether any
        process was told to stop.

    Raises:
        UnusedParameterError: `all_are_used`, but a parameter got no gradient; names the first one.
        BatchesEndedError: there is no further micro-batch.
    """
    prepared_step.train()
    means: dict[str, Tensor] = {}
    for micro_batch in range(settings.gradient_accumulation):
        prepared = next(batches, None)
        if prepared is None:
            raise BatchesEndedError(
                f"there is no batch for step {state.step + 1}; `batches_from` must go on to the training's last step, "
                "over the data as often as that takes"
            )
        batch = send_to_device(
            prepared | {"step": torch.tensor(state.step)},
            accelerator.device,
            # From pinned memory. PyTorch does not promise the order of such copies on Apple's GPUs.
            non_blocking=accelerator.device.type == "cuda",
        )
        # After the batch is fetched: the first one of a process draws from torch's generator too.
        _seed_generators(settings.seed, state.step, micro_batch, accelerator.process_index)
        # Accelerate puts autocast around `forward` under every strategy but FSDP2.
        autocast = accelerator.autocast() if accelerator.is_fsdp2 else nullcontext()
        with accelerator.accumulate(prepared_step):
            with autocast:
                losses = prepared_step(batch)
            accelerator.backward(losses["loss"])
            if accelerator.sync_gradients:
                if all_are_used:
                    _refuse_unused(
                        [key for key, parameter in state.parameters.items() if parameter.grad is None],
                        reason="the loss does not depend on",
                        remedy="add a loss that depends on them",
                    )
                norm = accelerator.clip_grad_norm_(state.parameters.values(), settings.gradient_clip)
                means["gradient_norm"] = whole(norm)
            optimizer.step()
            optimizer.zero_grad()
        for key, value in losses.items():
            # A user's own recipe may return plain numbers.
            value = torch.as_tensor(value, device=accelerator.device).detach().float()
            means[key] = means.get(key, 0.0) + value / settings.gradient_accumulation
    # One exchange between the processes and one wait for the device, for all values together.
    stops = torch.tensor(float(stop.is_requested), device=accelerator.device)
    *values, stopping = accelerator.reduce(torch.stack([*means.values(), stops]), "mean").tolist()
    return dict(zip(means, values, strict=True)), stopping > 0


def _refuse_unused(names: list[str], *, reason: str, remedy: str) -> None:
    if names:
        raise UnusedParameterError(
            f"{reason} {len(names)} of the parameters to train, the first being '{names[0]}'; freeze them, or {remedy}"
        )


def _seed_generators(*numbers: int) -> None:
    """Make what a network draws, as for dropout, a function of the step, so that it is the same after a resume."""
    set_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
