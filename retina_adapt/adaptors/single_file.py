"""An adaptor in one file, for sharing: tensors, configuration and card in one `.safetensors`."""

import json
from pathlib import Path

from retina_adapt.adaptors.description import AdaptorDescription, header_of
from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.files import read_adaptor
from retina_adapt.adaptors.layout import (
    CARD_FILE,
    CARD_HEADER_KEY,
    CONFIG_HEADER_KEY,
    SINGLE_FILE_SUFFIX,
    adaptor_reader,
)
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.model_files import write_tensor_file


def export_single_file(adaptor: str | Path, path: str | Path) -> AdaptorDescription:
    """Write a whole adaptor to one file, which `load_adaptor` and `describe_adaptor` accept in place of a folder.

    The adaptor keeps its sha256. The same adaptor and card give the same bytes.

    Args:
        adaptor: a folder or a single file; checked completely before anything is written.
        path: a new file, named `*.safetensors`.

    Raises:
        AdaptorFileError: the adaptor is damaged, `path` exists already, or it has another suffix.
    """
    adaptor, path = Path(adaptor), Path(path)
    if path.suffix != SINGLE_FILE_SUFFIX:
        raise AdaptorFileError(f"{path}: an adaptor's single file must be named *{SINGLE_FILE_SUFFIX}")
    if path.exists():
        raise AdaptorFileError(f"{path}: exists already; give another path, or remove it first")
    description, tensors = read_adaptor(adaptor)
    header = header_of(description)
    header[CONFIG_HEADER_KEY] = json.dumps(description.to_dict(), indent=2, ensure_ascii=False)
    header[CARD_HEADER_KEY] = read_card(adaptor)
    with write_file_atomically(path) as temporary:
        write_tensor_file(temporary, tensors, header)
    return description


def read_card(adaptor: Path) -> str:
    """The card of an adaptor in either form.

    Raises:
        AdaptorFileError: the adaptor has no card, or it cannot be read.
    """
    if not adaptor.is_file():
        return adaptor_reader.read_text(adaptor / CARD_FILE)
    card = adaptor_reader.read_header(adaptor).get(CARD_HEADER_KEY)
    if card is None:
        raise AdaptorFileError(f"{adaptor}: holds no card; export the adaptor again from its folder")
    return card
