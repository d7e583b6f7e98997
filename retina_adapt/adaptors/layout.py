"""Where an adaptor's parts are stored: in a folder, or all in one file.

folder/
    adaptor_model.safetensors     tensors; the header holds format version, kind, backbone fingerprint and sha256
    adaptor_config.json           the kind's settings, the typed metadata and the sha256 over everything
    README.md                     the card, for people; never read back

name.safetensors                  the same tensors and header, which also holds the configuration and the card
"""

from pathlib import Path

from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.atomic_files import restore_interrupted_replacement
from retina_adapt.model_files import ModelFileReader

TENSORS_FILE = "adaptor_model.safetensors"
CONFIG_FILE = "adaptor_config.json"
CARD_FILE = "README.md"
PEFT_CONFIG_FILE = "adapter_config.json"
ADAPTOR_FILES = (TENSORS_FILE, CONFIG_FILE, CARD_FILE)
SINGLE_FILE_SUFFIX = ".safetensors"
CONFIG_HEADER_KEY = "adaptor_config"
CARD_HEADER_KEY = "adaptor_card"

adaptor_reader = ModelFileReader("adaptor", AdaptorFileError)


def tensors_path(adaptor: Path) -> Path:
    """The file that holds the tensors."""
    return adaptor if adaptor.is_file() else adaptor / TENSORS_FILE


def configuration_origin(adaptor: Path) -> str:
    """Where the configuration is, in the words of error messages."""
    return f"{adaptor} ({CONFIG_HEADER_KEY} in its header)" if adaptor.is_file() else str(adaptor / CONFIG_FILE)


def read_configuration_text(adaptor: Path) -> str:
    """The configuration's JSON, unchecked.

    Raises:
        AdaptorFileError: there is no adaptor, or its configuration cannot be read.
    """
    if adaptor.is_file():
        text = adaptor_reader.read_header(adaptor).get(CONFIG_HEADER_KEY)
        if text is None:
            raise AdaptorFileError(
                f"{adaptor}: holds no configuration; give the whole adaptor folder, or a file made by "
                "'retina-adapt adaptors export'"
            )
        return text
    restore_interrupted_replacement(adaptor)
    path = adaptor / CONFIG_FILE
    if (adaptor / PEFT_CONFIG_FILE).exists() and not path.exists():
        raise AdaptorFileError(
            f"{adaptor}: holds an adaptor in PEFT's layout; convert a LoRA or DoRA with 'retina-adapt adaptors import'"
        )
    if not path.exists():
        raise AdaptorFileError(
            f"{path}: no such file; an adaptor is a folder with {CONFIG_FILE} and {TENSORS_FILE}, or one "
            f"{SINGLE_FILE_SUFFIX} file made by 'retina-adapt adaptors export'"
        )
    return adaptor_reader.read_text(path)
