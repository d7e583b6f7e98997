"""An adaptor on disk: written atomically, and read with every check done before the backbone is touched.

layout.py describes the two forms of an adaptor, a folder and a single file. `save_adaptor` writes a folder; everything
else here takes both.
"""

import copy
import dataclasses
import json
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor

from retina_adapt.adaptors.attach import assign_or_detach, attach_adaptor, backbone_tensors
from retina_adapt.adaptors.card import render_card
from retina_adapt.adaptors.description import (
    AdaptorDescription,
    header_of,
    parse_description,
    require_header,
)
from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.layers import backbone_of
from retina_adapt.adaptors.layout import (
    CARD_FILE,
    CONFIG_FILE,
    TENSORS_FILE,
    adaptor_reader,
    configuration_origin,
    read_configuration_text,
    tensors_path,
)
from retina_adapt.adaptors.metadata import AdaptorMetadata
from retina_adapt.adaptors.rehearsal import rehearse_attaching
from retina_adapt.adaptors.tensors import (
    TENSOR_DTYPE_NAMES,
    TENSOR_DTYPES,
    AdaptorTensorError,
    adaptor_tensors,
    check_adaptor_tensors,
)
from retina_adapt.atomic_files import require_own_folder, write_folder_atomically
from retina_adapt.backbones import ReconstructionBackbone, fingerprint_tensors
from retina_adapt.model_files import write_tensor_file


def save_adaptor(adapted: PeftModel, name: str, folder: str | Path, metadata: AdaptorMetadata) -> AdaptorDescription:
    """Write the adaptor `name` to `folder` atomically, replacing an adaptor already there.

    Returns:
        The description that was written; its `sha256` identifies the adaptor.

    Raises:
        AdaptorNameError: no adaptor of this name is attached.
        AdaptorFileError: `folder` holds something else, which would be lost; a tensor holds NaN or infinite values; a
            setting cannot be stored; or the backbone is not in single precision, so the adaptor would fit no stored
            backbone.
        MetadataError: a field has the wrong type, or the name cannot be used.
        MergeError: an adaptor is merged into the backbone.
    """
    folder = Path(folder)
    require_own_folder(folder, CONFIG_FILE, AdaptorFileError, what="adaptor")
    tensors = {key: tensor.detach().cpu() for key, tensor in adaptor_tensors(adapted, name).items()}
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise AdaptorFileError(
                f"{folder}: not written, since tensor '{key}' of the adaptor '{name}' holds NaN or infinite values; "
                "train it again with a lower learning rate"
            )
    own_tensors = backbone_tensors(adapted.get_base_model())
    if other := _other_precisions(own_tensors):
        raise AdaptorFileError(
            f"{folder}: not written, since the backbone has weights of {other}, and the adaptor would fit no stored "
            "backbone; load the backbone again, attach an adaptor with the same settings, and give it these values "
            "with `assign_adaptor_tensors`"
        )
    named = dataclasses.replace(metadata, name=metadata.name or name)
    description = AdaptorDescription(
        backbone_fingerprint=fingerprint_tensors(own_tensors),
        settings=copy.deepcopy(adapted.peft_config[name]),
        metadata=AdaptorMetadata.from_dict(named.to_dict(), origin=str(folder)),
        tensors_sha256=fingerprint_tensors(tensors),
    )
    with write_folder_atomically(folder) as temporary:
        write_tensor_file(temporary / TENSORS_FILE, tensors, header_of(description))
        text = json.dumps(description.to_dict(), indent=2, ensure_ascii=False)
        (temporary / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
        card = render_card(
            description,
            parameters=sum(tensor.numel() for tensor in tensors.values()),
            tensor_bytes=(temporary / TENSORS_FILE).stat().st_size,
        )
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
    return description


def describe_adaptor(adaptor: str | Path) -> AdaptorDescription:
    """Read and check an adaptor's configuration, without its tensors.

    Args:
        adaptor: a folder or a single file.

    Raises:
        AdaptorFileError: it is missing, damaged, or of an unknown kind or version.
    """
    adaptor = Path(adaptor)
    return parse_description(read_configuration_text(adaptor), origin=configuration_origin(adaptor))


def read_adaptor(adaptor: str | Path) -> tuple[AdaptorDescription, dict[str, Tensor]]:
    """Read a whole adaptor without a backbone, and verify that every bit of it is as saved.

    Returns:
        The description, and the tensors by name.

    Raises:
        AdaptorFileError: names the file and what is wrong.
    """
    adaptor = Path(adaptor)
    description = describe_adaptor(adaptor)
    return description, _read_sealed_tensors(adaptor, description)


def load_adaptor(backbone: ReconstructionBackbone | PeftModel, adaptor: str | Path, name: str) -> PeftModel:
    """Attach a stored adaptor as `name`, frozen; the first one becomes active.

    The backbone is untouched until every check has passed.

    Args:
        adaptor: a folder or a single file.

    Raises:
        AdaptorFileError: names the file and what is wrong: an adaptor of another backbone, a tensor that is missing,
            unexpected, misshapen or not finite, or any bit that is not as saved.
        AdaptorNameError: the name is taken or cannot be used.
        AttachedBackboneError, MergeError: as `attach_adaptor`.
    """
    adaptor = Path(adaptor)
    description, tensors = read_fitting_adaptor(backbone, adaptor, name)
    adapted = attach_adaptor(backbone, description.settings, name, without_values=True)
    assign_or_detach(adapted, name, tensors)
    adapted.requires_grad_(False)
    return adapted


def read_fitting_adaptor(
    backbone: ReconstructionBackbone | PeftModel, adaptor: str | Path, name: str
) -> tuple[AdaptorDescription, dict[str, Tensor]]:
    """Read an adaptor and check that it can be attached to this backbone as `name`, without attaching it.

    Raises:
        AdaptorFileError, AdaptorNameError, AttachedBackboneError, MergeError: as `load_adaptor`.
    """
    adaptor = Path(adaptor)
    description = describe_adaptor(adaptor)
    require_trained_on(backbone_of(backbone), description, adaptor)
    rehearsed = rehearse_attaching(backbone, description.settings, name, origin=configuration_origin(adaptor))
    return description, _read_sealed_tensors(adaptor, description, rehearsed, name)


def require_trained_on(backbone: ReconstructionBackbone, description: AdaptorDescription, adaptor: str | Path) -> None:
    """Check that this is the backbone that the adaptor, called `adaptor` in the error, was trained on.

    Raises:
        AdaptorFileError: it is another one, or this one in another precision.
    """
    own_tensors = backbone_tensors(backbone)
    fingerprint = fingerprint_tensors(own_tensors)
    if description.backbone_fingerprint == fingerprint:
        return
    if other := _other_precisions(own_tensors):
        raise AdaptorFileError(
            f"{adaptor}: adaptors know their backbone in single precision, but this one has weights of {other}; "
            "load the adaptor first, then change the precision"
        )
    raise AdaptorFileError(
        f"{adaptor}: was trained on the backbone {description.metadata.backbone_name} with fingerprint "
        f"{description.backbone_fingerprint[:12]}…, not {fingerprint[:12]}…; load that backbone, "
        "or train an adaptor for this one with recipes/adapt.py"
    )


def _other_precisions(tensors: dict[str, Tensor]) -> str:
    """The floating-point types among these tensors other than single precision, or ""."""
    types = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    return ", ".join(sorted(str(dtype) for dtype in types - {torch.float32}))


def _read_sealed_tensors(
    adaptor: Path, description: AdaptorDescription, rehearsed: PeftModel | None = None, name: str = ""
) -> dict[str, Tensor]:
    """Read the tensors, checked against the header, the sha256 and, if one is given, an attached adaptor."""
    path = tensors_path(adaptor)
    config_origin = CONFIG_FILE if adaptor.is_dir() else "its configuration"
    require_header(adaptor_reader.read_header(path), description, path=path, config_origin=config_origin)
    if rehearsed is None:
        tensors = adaptor_reader.read_tensors(path)
        _require_finite(tensors, path)
    else:
        expected = adaptor_tensors(rehearsed, name)
        most_bytes = 2 * sum(tensor.nbytes for tensor in expected.values()) + 2**24
        tensors = adaptor_reader.read_tensors(path, most_bytes=most_bytes)
        try:
            check_adaptor_tensors(rehearsed, name, tensors)
        except AdaptorTensorError as error:
            raise AdaptorFileError(f"{path}: {error}") from error
    if fingerprint_tensors(tensors) != description.tensors_sha256:
        raise AdaptorFileError(
            f"{path}: its tensors do not give the sha256 that its configuration states; it was damaged or altered: "
            "fetch or export the adaptor again"
        )
    return tensors


def _require_finite(tensors: dict[str, Tensor], path: Path) -> None:
    for key, tensor in tensors.items():
        if tensor.dtype not in TENSOR_DTYPES:
            raise AdaptorFileError(f"{path}: tensor '{key}' is {tensor.dtype}, expected {TENSOR_DTYPE_NAMES}")
        if not tensor.isfinite().all():
            raise AdaptorFileError(f"{path}: tensor '{key}' holds NaN or infinite values")
