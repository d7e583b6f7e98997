"""An exponential moving average of the trained parameters, validated and kept in place of their last values."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """average = decay * average + (1 - decay) * parameter after each step (Polyak and Juditsky 1992).

    The averages are float32 whatever the parameters are: in bfloat16, a step's share would be rounded away.

    Args:
        parameters: the parameters, by name; the averages start from their present values.
        decay: in (0, 1).
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.parameters = dict(parameters)
        self.decay = decay
        self.tensors = {name: parameter.detach().float().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update(self, steps_done: int) -> None:
        """Take in the parameters' present values after step `steps_done`, counted from 1.

        The decay grows as min(decay, (1 + steps_done) / (10 + steps_done)), as in TensorFlow's
        `tf.train.ExponentialMovingAverage`, so that the first steps' values are soon forgotten.
        """
        decay = min(self.decay, (1 + steps_done) / (10 + steps_done))
        for name, average in self.tensors.items():
            average.lerp_(self.parameters[name].float(), 1 - decay)

    @torch.no_grad()
    def copy_to_parameters(self) -> None:
        """Set the parameters to the averages."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.tensors[name])

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Set the parameters to the averages within the context; restore them after it, even after an error."""
        trained: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in self.parameters.items()}
        try:
            self.copy_to_parameters()
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(trained[name])
