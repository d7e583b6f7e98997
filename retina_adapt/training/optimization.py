"""One optimiser step: what it trains, over which micro-batches, on how many processes."""

from collections.abc import Callable, Iterator

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
from retina_adapt.training.sharding import whole

Batch = dict[str, Tensor]


class NothingToTrainError(RetinaAdaptError):
    """No parameter of the training step requires a gradient."""


class UnsupportedStrategyError(RetinaAdaptError):
    """The launcher was configured for a way to divide the work whose state the checkpoints cannot hold."""


class UnusedParameterError(RetinaAdaptError):
    """A parameter is to be trained, but the loss does not depend on it."""


def prepare_training(
    training_step: nn.Module,
    name: str,
    accelerator: Accelerator,
    settings: TrainingSettings,
    inspect_optimizer: Callable[[torch.optim.Optimizer], None],
) -> tuple[TrainingState, nn.Module, torch.optim.Optimizer]:
    """The state at step 0, and the training step and the optimiser as the accelerator wants them called.

    Raises:
        UnsupportedStrategyError: if the accelerator was configured for DeepSpeed or Megatron-LM.
        NothingToTrainError: if no parameter requires a gradient.
    """
    if accelerator.distributed_type in (DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise UnsupportedStrategyError(
            f"{accelerator.distributed_type.value} keeps its optimiser's state in files of its own, which are pickles; "
            "use recipes/configs/accelerate/fsdp2.yaml, which divides the same among the processes, or ddp.yaml"
        )
    trainable = [parameter for parameter in training_step.parameters() if parameter.requires_grad]
    if not trainable:
        raise NothingToTrainError(f"{name}: no parameter requires a gradient; check which hook groups are chosen")
    optimizer = torch.optim.AdamW(trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    inspect_optimizer(optimizer)
    prepared_step, prepared_optimizer = accelerator.prepare(training_step, optimizer)
    # These settings hold, whatever the accelerator was made with and wherever an earlier training of it was stopped.
    accelerator.gradient_accumulation_steps = settings.gradient_accumulation
    accelerator.step = 0
    # Only now the parameters are on their device, the same on all processes, and sharded if they are to be.
    parameters = {key: parameter for key, parameter in training_step.named_parameters() if parameter.requires_grad}
    average = MovingAverage(parameters, settings.moving_average_decay) if settings.moving_average_decay else None
    return TrainingState(parameters, optimizer, average), prepared_step, prepared_optimizer


def take_step(
    training_step: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    settings: TrainingSettings,
    state: TrainingState,
    batches: Iterator[Batch],
    *,
    stop: StopRequest,
) -> tuple[dict[str, float], bool]:
    """One optimiser step over `gradient_accumulation` micro-batches.

    Returns:
        The losses, means over micro-batches and processes, and the "gradient_norm" before clipping; and whether any
        process was told to stop.
    """
    training_step.train()
    means: dict[str, Tensor] = {}
    for micro_batch in range(settings.gradient_accumulation):
        batch = send_to_device(next(batches) | {"step": torch.tensor(state.step)}, accelerator.device)
        # After the batch is there: the first one of a process draws from torch's generator too.
        _seed_generators(settings.seed, state.step, micro_batch, accelerator.process_index)
        with accelerator.accumulate(training_step):
            losses = training_step(batch)
            accelerator.backward(losses["loss"])
            if accelerator.sync_gradients:
                norm = accelerator.clip_grad_norm_(state.parameters.values(), settings.gradient_clip)
                means["gradient_norm"] = whole(norm)
            optimizer.step()
            optimizer.zero_grad()
        for key, value in losses.items():
            means[key] = means.get(key, 0.0) + value.detach().float() / settings.gradient_accumulation
    # One exchange between the processes and one wait for the device, for all values together.
    stops = torch.tensor(float(stop.is_requested), device=accelerator.device)
    *values, stopping = accelerator.reduce(torch.stack([*means.values(), stops]), "mean").tolist()
    return dict(zip(means, values, strict=True)), stopping > 0


def require_that_all_are_used(state: TrainingState, name: str) -> None:
    """Refuse, after a step, a parameter that got no gradient: AdamW has a state for every one that ever had.

    On several processes it would otherwise end the second step with an error from torch's reducer; on one it would
    silently keep its first value.

    Raises:
        UnusedParameterError: names the first one.
    """
    unused = [key for key, parameter in state.parameters.items() if parameter not in state.optimizer.state]
    if unused:
        raise UnusedParameterError(
            f"{name}: the loss does not depend on {len(unused)} of the parameters to train, the first being "
            f"'{unused[0]}'; freeze them, or give the loss that they serve"
        )


def _seed_generators(*numbers: int) -> None:
    """Let what a network draws, as for dropout, be a function of the step: it is the same after a resume."""
    set_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
