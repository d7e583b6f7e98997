"""Export to PEFT's own layout, for programs that read PEFT's files but not this package's."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import peft.mapping
from peft import PeftConfig

from retina_adapt.adaptors.description import AdaptorDescription
from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.files import read_adaptor
from retina_adapt.adaptors.hook_point.config import HookPointAdaptorConfig
from retina_adapt.adaptors.layout import CARD_FILE
from retina_adapt.adaptors.single_file import read_card
from retina_adapt.atomic_files import write_folder_atomically
from retina_adapt.model_files import write_tensor_file

PEFT_TENSORS_FILE = "adapter_model.safetensors"
PEFT_PREFIX = "base_model.model."
# A module in PEFT's layers, whose only parameter is saved under the module's own name.
DORA_MAGNITUDE = "lora_magnitude_vector"


def export_to_peft(adaptor: str | Path, folder: str | Path) -> AdaptorDescription:
    """Write an adaptor in PEFT's layout, for `PeftModel.from_pretrained(backbone, folder)`.

    PEFT checks neither the backbone nor whether all tensors are present. Before it can load the kinds residual and
    serial, which are not its own, `retina_adapt.adaptors` must be imported.

    Args:
        adaptor: a folder or a single file.
        folder: a new folder.

    Raises:
        AdaptorFileError: the adaptor is damaged, or `folder` exists already.
    """
    adaptor, folder = Path(adaptor), Path(folder)
    if folder.exists():
        raise AdaptorFileError(f"{folder}: exists already; give a new folder")
    description, tensors = read_adaptor(adaptor)
    card = read_card(adaptor)
    renamed = {_peft_name(name, description.settings): tensor for name, tensor in tensors.items()}
    with write_folder_atomically(folder) as temporary:
        _peft_settings(description.settings, list(tensors)).save_pretrained(str(temporary))
        write_tensor_file(temporary / PEFT_TENSORS_FILE, renamed, {"format": "pt"})
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
    return description


def _peft_name(name: str, settings: PeftConfig) -> str:
    """PEFT's name in its file for the tensor `<layer>.<attribute>.<rest>`."""
    peft_type: Any = settings.peft_type  # from PEFT's enumeration or ours
    prefix = peft.mapping.PEFT_TYPE_TO_PREFIX_MAPPING[peft_type]
    tuner_class = peft.mapping.PEFT_TYPE_TO_TUNER_MAPPING[peft_type]
    # In the model the adaptor's name follows the attribute. Each tuner removes it in its own way.
    in_model = re.sub(rf"(?<=\.)({prefix}\w*)", r"\1.default", name, count=1)
    in_file = PEFT_PREFIX + tuner_class._remove_adapter_name_from_key(in_model, "default")
    return in_file.replace(f".{DORA_MAGNITUDE}.weight", f".{DORA_MAGNITUDE}")


def _peft_settings(settings: PeftConfig, tensor_names: list[str]) -> PeftConfig:
    """The settings in the class registered with PEFT for this kind; PEFT's own classes name layers, not hook groups."""
    peft_type: Any = settings.peft_type
    config_class = peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING[peft_type]
    values = {item.name: getattr(settings, item.name) for item in dataclasses.fields(config_class) if item.init}
    values["inference_mode"] = True
    if not isinstance(settings, HookPointAdaptorConfig):
        prefix = peft.mapping.PEFT_TYPE_TO_PREFIX_MAPPING[peft_type]
        values["target_modules"] = sorted({name.split(f".{prefix}", 1)[0] for name in tensor_names})
    return config_class(**values)
