"""Checkpoints: the trainable tensors and the optimizer's state, in safetensors, one folder a step.

Nothing else is needed to resume bit for bit: data order, augmentation and noise are functions of the seed and the
step, and so is the learning rate. Frozen tensors are not stored, so that an adaptor's checkpoint is as small as it.
"""

import json
import re
import shutil
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from retina_adapt.atomic_files import write_folder_atomically
from retina_adapt.errors import RetinaAdaptError

TENSORS_FILE = "training_state.safetensors"
STATE_FILE = "training_state.json"
_FOLDER_NAME = re.compile(r"step-(\d{8})")


class CheckpointError(RetinaAdaptError):
    """A checkpoint that cannot be read or belongs to another run."""


def save_checkpoint(folder: Path, *, step: int, module: nn.Module, optimizer: torch.optim.Optimizer, kept: int) -> Path:
    """Write `folder/step-<step>`, then drop all but the `kept` newest checkpoints. Atomic: never half a checkpoint."""
    tensors = {f"parameter.{name}": tensor.detach() for name, tensor in _trainable(module)}
    for name, parameter in _trainable(module):
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = torch.as_tensor(value)
    checkpoint = folder / f"step-{step:08d}"
    with write_folder_atomically(checkpoint) as temporary:
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(contiguous, temporary / TENSORS_FILE)
        (temporary / STATE_FILE).write_text(json.dumps({"step": step}) + "\n", encoding="utf-8")
    for old in list_checkpoints(folder)[:-kept]:
        shutil.rmtree(old, ignore_errors=True)
    return checkpoint


def load_checkpoint(checkpoint: Path, *, module: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Put a checkpoint's tensors into `module` and `optimizer`; return the step it was taken after.

    Raises:
        CheckpointError: if a file cannot be read or the trainable tensors differ in name or shape.
    """
    try:
        step = int(json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))["step"])
        tensors = safetensors.torch.load_file(checkpoint / TENSORS_FILE)
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{checkpoint}: cannot be read ({error}); delete this folder to resume from an older one"
        ) from error
    trainable = dict(_trainable(module))
    shapes = {f"parameter.{name}": tuple(tensor.shape) for name, tensor in trainable.items()}
    stored = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name.startswith("parameter.")}
    if shapes != stored:
        differing = sorted(name for name, _ in shapes.items() ^ stored.items())
        raise CheckpointError(
            f"{checkpoint}: belongs to another configuration; differing tensors: {', '.join(differing[:3])}"
            f"{' …' if len(differing) > 3 else ''}. Use another output_folder, or delete this one to start again"
        )
    with torch.no_grad():
        for name, parameter in trainable.items():
            parameter.copy_(tensors[f"parameter.{name}"])
            prefix = f"optimizer.{name}."
            state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            if state:
                # Adam keeps its step count on the CPU, its moments beside the parameter.
                optimizer.state[parameter] = {
                    key: value if value.ndim == 0 else value.to(parameter) for key, value in state.items()
                }
    return step


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _FOLDER_NAME.fullmatch(path.name))


def _trainable(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
