"""Checkpoints: the trainable tensors and the loop's own state, in safetensors and JSON, one folder per step.

Nothing else is needed to resume bit for bit: data order, augmentation, noise, torch's own generators and the learning
rate are functions of the seed and the step. Frozen tensors are not stored, so a checkpoint is only as large as the
adaptor and its optimiser state. Tensors that are sharded over processes are stored whole, so a run may resume on a
different number of processes.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from retina_adapt.atomic_files import write_folder_atomically
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.training.divergence import DivergenceWatch
from retina_adapt.training.moving_average import MovingAverage
from retina_adapt.training.sharding import copy_whole, like_sharded, whole
from retina_adapt.training.validation_history import ScoredStep, store_history, stored_history

TENSORS_FILE = "training_state.safetensors"
STATE_FILE = "training_state.json"
_FOLDER_NAME = re.compile(r"step-(\d{8})")


class CheckpointError(RetinaAdaptError):
    """A checkpoint that cannot be read, written or resumed from as asked."""


@dataclass
class TrainingState:
    """The state of a training, which its checkpoints store.

    Attributes:
        parameters: the parameters being trained, by name.
        optimizer: their optimiser.
        average: their moving average, if any.
        watch: the course of the watched loss so far.
        validations: the validations so far.
        step: number of optimiser steps done.
        built_on: what identifies the frozen networks that the parameters were trained on; the same at every step.
    """

    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None = None
    watch: DivergenceWatch = field(default_factory=DivergenceWatch)
    validations: list[ScoredStep] = field(default_factory=list)
    step: int = 0
    built_on: str = ""

    def weights(self) -> dict[str, Tensor]:
        """The parameters as `parameter.<name>`, their averages as `average.<name>`."""
        weights = {f"parameter.{name}": tensor.detach() for name, tensor in self.parameters.items()}
        if self.average is not None:
            weights |= {f"average.{name}": tensor for name, tensor in self.average.tensors.items()}
        return weights


def write_checkpoint(folder: Path, state: TrainingState, *, writes: bool = True) -> Path:
    """Write `folder/step-<step>`, atomically: never half a checkpoint.

    Args:
        writes: whether this process writes the files. All processes call this, since gathering sharded tensors takes
            all of them.

    Raises:
        CheckpointError: it cannot be written, for instance on a full disk; earlier checkpoints are untouched.
    """
    tensors = state.weights()
    for name, parameter in state.parameters.items():
        for key, value in state.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = torch.as_tensor(value)
    checkpoint = folder / f"step-{state.step:08d}"
    gathered = {}
    for name, tensor in tensors.items():
        complete = whole(tensor)
        if writes:
            gathered[name] = complete.cpu().contiguous()
    if not writes:
        return checkpoint
    numbers = {"step": state.step, "built_on": state.built_on, "divergence_watch": asdict(state.watch)}
    try:
        with write_folder_atomically(checkpoint) as temporary:
            safetensors.torch.save_file(gathered, temporary / TENSORS_FILE)
            (temporary / STATE_FILE).write_text(json.dumps(numbers) + "\n", encoding="utf-8")
            store_history(state.validations, temporary)
    except (OSError, safetensors.SafetensorError) as error:
        remaining = list_checkpoints(folder)
        resumption = f"resumes from {remaining[-1]}, which is whole" if remaining else "starts from the beginning"
        raise CheckpointError(
            f"{checkpoint}: cannot be written ({error}); make room or grant write permission, then run again: the run "
            f"{resumption}"
        ) from error
    return checkpoint


@dataclass(frozen=True)
class StoredState:
    """What a checkpoint holds of a `TrainingState`.

    Tensors are named as in `TrainingState.weights`; those of the optimiser are `optimizer.<name>.<key>`.
    """

    tensors: dict[str, Tensor]
    watch: DivergenceWatch
    validations: list[ScoredStep]
    step: int


def load_checkpoint(checkpoint: Path, state: TrainingState) -> None:
    """Restore `state` from a checkpoint; raises as `read_checkpoint` does."""
    restore(read_checkpoint(checkpoint, state), state)


def read_checkpoint(checkpoint: Path, state: TrainingState) -> StoredState:
    """Read what a checkpoint holds for `state`, without changing `state` and without waiting for other processes.

    Raises:
        CheckpointError: a file cannot be read, the trainable tensors or their averages differ in name or shape, or they
            were trained on other frozen networks.
    """
    try:
        numbers = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
        step, watch = int(numbers["step"]), DivergenceWatch(**numbers["divergence_watch"])
        built_on = numbers["built_on"]
        validations = stored_history(checkpoint)
        tensors = safetensors.torch.load_file(checkpoint / TENSORS_FILE)
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{checkpoint}: cannot be read ({error}); delete this folder to resume from an older one"
        ) from error
    weights = state.weights()
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    stored = {name: tuple(tensor.shape) for name, tensor in tensors.items() if not name.startswith("optimizer.")}
    if shapes != stored:
        differing = sorted({name for name, _ in shapes.items() ^ stored.items()})
        raise CheckpointError(
            f"{checkpoint}: belongs to another configuration; differing tensors: {', '.join(differing[:3])}"
            f"{' …' if len(differing) > 3 else ''}. Use another output_folder, or delete this one to start again"
        )
    # The shapes would fit, but the result would be useless.
    if built_on != state.built_on:
        raise CheckpointError(
            f"{checkpoint}: was trained on other frozen networks than the present ones, which were trained again or "
            f"further since. Use another output_folder, or delete {checkpoint.parent} to do this training again"
        )
    return StoredState(tensors, watch, validations, step)


def restore(stored: StoredState, state: TrainingState) -> None:
    """Restore `state` from what was stored. All processes call this, since parameters may be sharded over them."""
    for name, tensor in state.weights().items():
        copy_whole(stored.tensors[name], tensor)
    for name, parameter in state.parameters.items():
        prefix = f"optimizer.{name}."
        moments = {key.removeprefix(prefix): value for key, value in stored.tensors.items() if key.startswith(prefix)}
        if moments:
            # Copies: a tensor as read holds on to its file, which is deleted once newer checkpoints replace it.
            state.optimizer.state[parameter] = {
                key: value.clone() if _is_count(key, value, parameter) else like_sharded(value, parameter).clone()
                for key, value in moments.items()
            }
    state.step, state.watch, state.validations = stored.step, stored.watch, stored.validations


def _is_count(key: str, value: Tensor, parameter: Tensor) -> bool:
    """Whether optimisers keep this number on the CPU, as they do their step; moments lie beside the parameter."""
    return key == "step" or (value.ndim == 0 and parameter.ndim > 0)


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _FOLDER_NAME.fullmatch(path.name))
