"""One batch whose rows run under different adaptors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from retina_adapt.adaptors.layers import adaptors_of, tuner_layers
from retina_adapt.adaptors.merging import require_unmerged
from retina_adapt.adaptors.names import require_attached
from retina_adapt.errors import RetinaAdaptError


class MixedBatchError(RetinaAdaptError):
    """A batch that does not have one row for each name, or a mixed batch where none can be."""

    @classmethod
    def instead_of_adapter_names(cls) -> "MixedBatchError":
        return cls(
            "PEFT's `adapter_names` (a different adaptor for each image of a batch) is not offered, since most kinds "
            "drop it in silence; use `with mixed_batch(adapted, names):`, which every kind does"
        )


@contextmanager
def mixed_batch(adapted: PeftModel, names: Sequence[str | None]) -> Iterator[None]:
    """Run row i of every batch inside this context under the adaptor `names[i]`; None is the frozen backbone.

    Each adapted layer runs once for each adaptor, over this adaptor's rows alone; layers without adaptors run once
    over the whole batch. The result equals that of running the rows apart, up to the rounding of differently shaped
    batches: less than 1e-4 of the largest value in tests. Weights set by `set_adaptor_weights` hold; which adaptors
    are active does not matter. With gradient checkpointing, call `backward` inside the context too.

    Raises:
        AdaptorNameError: no adaptor of one of these names is attached.
        MixedBatchError: `names` is empty, or this is inside another mixed batch; and, inside the context, from a layer
            that is given another number of rows than there are names.
        MergeError: an adaptor is merged into the backbone.
    """
    backbone = adapted.get_base_model()
    if isinstance(names, str) or not names:
        raise MixedBatchError("give a list with one adaptor's name, or None, for each row of the batch")
    require_attached(adapted, *(name for name in names if name is not None))
    require_unmerged(backbone)
    # PEFT's common class of layers says nothing of `forward`.
    layers: list[Any] = [layer for _, layer in tuner_layers(backbone)]
    if any("forward" in vars(layer) for layer in layers):
        raise MixedBatchError("this is inside another mixed batch; leave that one first")
    for layer in layers:
        layer.forward = partial(_forward_by_rows, layer, tuple(names))
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward_by_rows(layer: BaseTunerLayer, names: tuple[str | None, ...], *arguments: Any, **keywords: Any) -> Tensor:
    layer_class: Any = type(layer)
    run = partial(layer_class.forward, layer)
    if layer.disable_adapters:
        return run(*arguments, **keywords)
    first = arguments[0]
    if len(first) != len(names):
        raise MixedBatchError(
            f"the batch has {len(first)} rows, but {len(names)} adaptors' names were given; give one for each row, "
            "and run batches of one kind at a time"
        )
    held = adaptors_of(layer)
    rows_by_adaptor: dict[str | None, list[int]] = {}
    for row, name in enumerate(names):
        rows_by_adaptor.setdefault(name if name in held else None, []).append(row)
    results, order = [], []
    for name, rows in rows_by_adaptor.items():
        index = torch.tensor(rows, device=first.device)
        chosen = [_choose_rows(argument, index, len(names)) for argument in arguments]
        chosen_keywords = {key: _choose_rows(value, index, len(names)) for key, value in keywords.items()}
        with _acting_alone(layer, name):
            results.append(run(*chosen, **chosen_keywords))
        order += rows
    return torch.cat(results)[torch.tensor(order, device=first.device).argsort()]


def _choose_rows(value: Any, index: Tensor, rows: int) -> Any:
    """The rows of a layer's argument; what is the same for all rows stays as it is."""
    if not isinstance(value, Tensor) or value.dim() == 0 or (len(value) == 1 and rows > 1):
        return value
    if len(value) != rows:
        raise MixedBatchError(
            f"an argument has {len(value)} rows in a batch of {rows}; it cannot be told what is whose"
        )
    return value[index]


@contextmanager
def _acting_alone(layer: BaseTunerLayer, name: str | None) -> Iterator[None]:
    """Only this adaptor, or none, acts in the layer. `set_adapter` would change which parameters are trained."""
    before = layer._active_adapter
    layer._active_adapter = [] if name is None else [name]
    try:
        yield
    finally:
        layer._active_adapter = before
