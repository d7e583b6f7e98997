"""Replacing an attached adaptor's values by another's in place, without recompilation."""

from collections.abc import Mapping
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor

from retina_adapt.adaptors.description import AdaptorDescription
from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.files import describe_adaptor, read_adaptor, require_trained_on
from retina_adapt.adaptors.kinds import kind_of
from retina_adapt.adaptors.layers import backbone_of
from retina_adapt.adaptors.merging import require_unmerged
from retina_adapt.adaptors.names import require_attached
from retina_adapt.adaptors.stored_settings import settings_to_plain
from retina_adapt.adaptors.tensors import AdaptorTensorError, adaptor_tensors, check_adaptor_tensors


@torch.no_grad()
def hot_swap(adapted: PeftModel, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Copy these tensors into the adaptor `name` in place: all of them or, on an error, none.

    Under `torch.compile`, `set_adapter` recompiles for each adaptor that it activates for the first time; copying
    values in place does not. The tensors are those of an adaptor of the same kind and settings (`adaptor_tensors`).

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        AdaptorTensorError: a tensor is missing, unexpected, misshapen, not floating-point, or holds NaN or infinity.
        MergeError: an adaptor is merged into the backbone, where the new values would have no effect.
    """
    require_unmerged(adapted.get_base_model())
    check_adaptor_tensors(adapted, name, tensors)
    # Cloned first: the new values may be views of the parameters that are overwritten.
    own = adaptor_tensors(adapted, name)
    values = {key: tensor.detach().clone() for key, tensor in tensors.items()}
    for key, parameter in own.items():
        parameter.copy_(values[key])


def hot_swap_file(adapted: PeftModel, name: str, adaptor: str | Path) -> None:
    """Hot-swap in a stored adaptor's values, after checking that they mean the same in their new place.

    Args:
        adaptor: a folder or a single file, for the same backbone and of the same kind and settings as the adaptor
            `name`.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        AdaptorFileError: the stored adaptor is damaged, or differs in backbone, kind or settings.
        MergeError: as `hot_swap`.
    """
    require_attached(adapted, name)
    _require_alike(adapted, name, describe_adaptor(adaptor), adaptor)
    tensors = read_adaptor(adaptor)[1]
    try:
        hot_swap(adapted, name, tensors)
    except AdaptorTensorError as error:
        raise AdaptorFileError(f"{adaptor}: {error}") from error


def start_from_file(adapted: PeftModel, name: str, adaptor: str | Path) -> AdaptorDescription:
    """Copy a stored adaptor's values into the adaptor `name`, whose hook groups may be a subset of the stored ones.

    Args:
        adaptor: a folder or a single file, for the same backbone, of the same kind, and with the same other settings.

    Returns:
        The stored adaptor's description.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        AdaptorFileError: the stored adaptor is damaged, differs in backbone, kind or other settings, or lacks a hook
            group.
        MergeError: as `hot_swap`.
    """
    require_attached(adapted, name)
    description, tensors = read_adaptor(adaptor)
    _require_alike(adapted, name, description, adaptor, but_for="hook_groups")
    own = adaptor_tensors(adapted, name)
    missing = sorted(own.keys() - tensors.keys())
    if missing:
        raise AdaptorFileError(
            f"{adaptor}: covers only {', '.join(description.settings.hook_groups)}, so it holds nothing for "
            f"'{missing[0]}'; leave that hook group out"
        )
    hot_swap(adapted, name, {key: tensors[key] for key in own})
    return description


def _require_alike(
    adapted: PeftModel, name: str, description: AdaptorDescription, adaptor: str | Path, *, but_for: str | None = None
) -> None:
    resident = adapted.peft_config[name]
    own = {"kind": kind_of(resident), **settings_to_plain(resident)}
    stored = {"kind": kind_of(description.settings), **settings_to_plain(description.settings)}
    differing = [
        f"{key} ({stored.get(key)}, not {own.get(key)})"
        for key in sorted(own.keys() | stored.keys())
        if key != but_for and own.get(key) != stored.get(key)
    ]
    if differing:
        raise AdaptorFileError(
            f"{adaptor}: differs from the adaptor '{name}' in {', '.join(differing)}, so its values would mean "
            "something else there; both must have the same settings"
        )
    require_trained_on(backbone_of(adapted), description, adaptor)
