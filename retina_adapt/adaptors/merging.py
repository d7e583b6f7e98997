"""Merging an adaptor into the backbone's weights, which makes it free at inference, and unmerging it.

PEFT unmerges by reversing the arithmetic, which drifts (5e-4 in bfloat16); here the original weights are kept instead.
"""

from types import TracebackType

from peft import PeftModel
from torch import Tensor, nn

from retina_adapt.adaptors.layers import adaptor_layers, tuner_layers
from retina_adapt.errors import RetinaAdaptError


class MergeError(RetinaAdaptError):
    """An adaptor cannot be merged, or an operation is not allowed while one is."""

    @classmethod
    def of_non_linear_branch(cls) -> "MergeError":
        return cls(
            "this kind of adaptor has a non-linear branch and cannot be merged into the backbone's weights; keep it "
            "attached, or call `unload` to detach it"
        )


class MergedAdaptor:
    """An adaptor that stays merged into the backbone until `unmerge` or the end of a `with` block.

    Holds a copy of the adapted layers' original weights.
    """

    def __init__(self, adapted: PeftModel, name: str) -> None:
        # Each layer with its original weights.
        self._merged = [
            (layer, {key: parameter.detach().clone() for key, parameter in layer.get_base_layer().named_parameters()})
            for _, layer in adaptor_layers(adapted, name)
        ]
        try:
            for layer, _ in self._merged:
                layer.merge(adapter_names=[name])
        except BaseException:
            self.unmerge()
            raise

    def unmerge(self) -> None:
        """Restore the backbone's own weights bit for bit; the adaptor acts as an attached one again.

        A second call does nothing, since another adaptor may be merged by then.
        """
        merged, self._merged = self._merged, []
        for layer, weights in merged:
            _restore(layer.get_base_layer(), weights)
            layer.merged_adapters.clear()

    def __enter__(self) -> "MergedAdaptor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.unmerge()


def merge_adaptor(adapted: PeftModel, name: str) -> MergedAdaptor:
    """Merge the active adaptor `name`, of a kind that only changes weights, into the backbone's weights.

    In single precision, outputs differ from those of the attached adaptor by rounding: less than 1e-5 of their largest
    value in tests. Until it is unmerged, no adaptor can be disabled, swapped or detached, and the backbone's
    fingerprint cannot be taken.

    ```python
    with merge_adaptor(adapted, "light"):
        enhanced = ...
    ```

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        MergeError: the kind cannot be merged, an adaptor is already merged, or `name` is disabled or not the only
            active adaptor.
    """
    require_unmerged(adapted.get_base_model())
    layers = adaptor_layers(adapted, name)
    if adapted.active_adapters != [name]:
        active = ", ".join(adapted.active_adapters) or "none"
        raise MergeError(f"'{name}' is not the only active adaptor ({active}); call `set_adapter('{name}')` first")
    if any(layer.disable_adapters for _, layer in layers):
        raise MergeError(f"'{name}' is disabled; merge it outside `disable_adapter` and `adaptors_bypassed`")
    return MergedAdaptor(adapted, name)


def require_unmerged(backbone: nn.Module) -> None:
    """Raise MergeError if an adaptor is merged into the backbone's weights."""
    merged = sorted({name for _, layer in tuner_layers(backbone) for name in layer.merged_adapters})
    if merged:
        raise MergeError(f"'{', '.join(merged)}' is merged into the backbone's weights; unmerge it first")


def _restore(module: nn.Module, weights: dict[str, Tensor]) -> None:
    for key, parameter in module.named_parameters():
        # PEFT replaces `data` when it merges, so there may be no shared memory to copy into.
        parameter.data = weights[key].clone()
