"""An adaptor's tensors by name, whatever its kind.

PEFT's layers keep adaptors' modules and parameters in dictionaries keyed by adaptor name, in the attributes listed in
`adapter_layer_names` of the layer's class. Here a tensor is named `<layer>.<attribute>.<rest>`, without that key:
`autoencoder.encoder.blocks.0.residual_adaptor.local.weight`, `autoencoder.decoder.blocks.1.branch.0.lora_A.weight`.
"""

from collections.abc import Iterable, Mapping

import torch
from peft import PeftModel
from torch import Tensor, nn

from retina_adapt.adaptors.layers import adaptor_attributes, adaptor_layers, backbone_of, hook_point_of
from retina_adapt.backbones import select_hook_points
from retina_adapt.errors import RetinaAdaptError

TENSOR_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
TENSOR_DTYPE_NAMES = "float32, float16 or bfloat16"


class AdaptorTensorError(RetinaAdaptError):
    """A tensor that is missing, unexpected, misshapen, of the wrong type, or not finite."""


def named_adaptor_parameters(
    adapted: PeftModel, name: str, groups: Iterable[str] | None = None
) -> list[tuple[str, nn.Parameter]]:
    """The parameters of the adaptor `name` with their names, in all hook groups or in the given ones.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        HookPointError: the backbone has none of these hook groups.
    """
    layers = adaptor_layers(adapted, name)
    if groups is not None:
        points = select_hook_points(backbone_of(adapted).hook_points(), groups)
        layers = [(layer_name, layer) for layer_name, layer in layers if hook_point_of(layer_name, points)]
    found = []
    for layer_name, layer in layers:
        for attribute in adaptor_attributes(layer):
            entries = getattr(layer, attribute)
            if name not in entries:
                continue
            if isinstance(entries[name], nn.Parameter):
                found.append((f"{layer_name}.{attribute}", entries[name]))
            else:
                found += [
                    (f"{layer_name}.{attribute}.{rest}", parameter)
                    for rest, parameter in entries[name].named_parameters()
                ]
    return found


def adaptor_parameters(adapted: PeftModel, name: str, groups: Iterable[str] | None = None) -> list[nn.Parameter]:
    """The parameters of the adaptor `name`, in all hook groups or in the given ones.

    Raises:
        AdaptorNameError, HookPointError: as `named_adaptor_parameters`.
    """
    return [parameter for _, parameter in named_adaptor_parameters(adapted, name, groups)]


def adaptor_tensors(adapted: PeftModel, name: str) -> dict[str, Tensor]:
    """The tensors of the adaptor `name` by name, as in its file. They are its parameters, not copies.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
    """
    return dict(named_adaptor_parameters(adapted, name))


def check_adaptor_tensors(adapted: PeftModel, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Check that these tensors can replace the adaptor's own.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        AdaptorTensorError: a tensor is missing, unexpected, misshapen, not floating-point, or holds NaN or infinity.
    """
    expected = adaptor_tensors(adapted, name)
    for problem, names in (
        ("missing", sorted(expected.keys() - tensors.keys())),
        ("unexpected", sorted(tensors.keys() - expected.keys())),
    ):
        if names:
            raise AdaptorTensorError(f"{len(names)} tensors {problem}, the first being '{names[0]}'")
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape or tensor.dtype not in TENSOR_DTYPES:
            raise AdaptorTensorError(
                f"tensor '{key}' is {tensor.dtype} {tuple(tensor.shape)}, expected {TENSOR_DTYPE_NAMES} "
                f"{tuple(expected[key].shape)}"
            )
        if not tensor.isfinite().all():
            raise AdaptorTensorError(f"tensor '{key}' holds NaN or infinite values")


def assign_adaptor_tensors(adapted: PeftModel, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Replace the parameters of the adaptor `name` by copies of these tensors, in single precision and frozen.

    Also works on the meta-device parameters that `attach_adaptor(..., without_values=True)` creates. If the check
    fails, nothing is assigned.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        AdaptorTensorError: as `check_adaptor_tensors`.
    """
    check_adaptor_tensors(adapted, name, tensors)
    for layer_name, layer in adaptor_layers(adapted, name):
        device = next(layer.get_base_layer().parameters()).device
        for attribute in adaptor_attributes(layer):
            entries = getattr(layer, attribute)
            if name not in entries:
                continue
            key = f"{layer_name}.{attribute}"
            if isinstance(entries[name], nn.Parameter):
                entries[name] = _parameter(tensors[key], device)
                continue
            for owner_name, owner in entries[name].named_modules():
                for parameter_name in list(owner._parameters):
                    if owner._parameters[parameter_name] is not None:
                        rest = f"{owner_name}.{parameter_name}" if owner_name else parameter_name
                        setattr(owner, parameter_name, _parameter(tensors[f"{key}.{rest}"], device))


def _parameter(value: Tensor, device: torch.device) -> nn.Parameter:
    # Copied, because what safetensors reads may still be a view of the file, which may be overwritten.
    return nn.Parameter(value.detach().to(device, torch.float32, copy=True), requires_grad=False)
