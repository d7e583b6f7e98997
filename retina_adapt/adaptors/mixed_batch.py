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
    """A batch without exactly one row for each name, or a mixed batch where none is possible."""

    @classmethod
    def instead_of_adapter_names(cls) -> "MixedBatchError":
        return cls(
            "PEFT's `adapter_names` (a different adaptor for each image of a batch) is not offered, since most kinds "
            "silently ignore it; use `with mixed_batch(adapted, names):`, which works for every kind"
        )


@contextmanager
def mixed_batch(adapted: PeftModel, names: Sequence[str | None]) -> Iterator[None]:
    """Run row i of every batch inside this context under the adaptor `names[i]`, or unadapted where it is None.

    Each adapted layer runs once for each adaptor, over that adaptor's rows only; layers without adaptors run once over
    the whole batch. The result equals that of running the rows separately, up to rounding in differently shaped
    batches: less than 1e-4 of the largest value in tests. Weights set by `set_adaptor_weights` apply; which adaptors
    are active does not matter. With gradient checkpointing, call `backward` inside the context too.

    Raises:
        AdaptorNameError: an adaptor named here is not attached.
        MixedBatchError: `names` is empty or a string, or this is inside another mixed batch; inside the context, a
            layer raises it if it is given another number of rows than there are names.
        MergeError: an adaptor is merged into the backbone.
    """
    backbone = adapted.get_base_model()
    if isinstance(names, str) or not names:
        raise MixedBatchError("give a list with one adaptor's name, or None, for each row of the batch")
    require_attached(adapted, *(name for name in names if name is not None))
    require_unmerged(backbone)
    # PEFT's base class for layers does not declare `forward`.
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
            f"the batch has {len(first)} rows, but {len(names)} names of adaptors were given; give one for each row, "
            "and use one context for each list of names"
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
    """These rows of a layer's argument; an argument common to all rows is returned unchanged."""
    if not isinstance(value, Tensor) or value.dim() == 0 or (len(value) == 1 and rows > 1):
        return value
    if len(value) != rows:
        raise MixedBatchError(
            f"an argument has {len(value)} rows in a batch of {rows}, so its rows cannot be assigned to adaptors"
        )
    return value[index]


@contextmanager
def _acting_alone(layer: BaseTunerLayer, name: str | None) -> Iterator[None]:
    """Let only this adaptor, or none, act in the layer. `set_adapter` would change which parameters are trained."""
    before = layer._active_adapter
    layer._active_adapter = [] if name is None else [name]
    try:
        yield
    finally:
        layer._active_adapter = before
