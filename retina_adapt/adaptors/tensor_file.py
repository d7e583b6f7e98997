"""The safetensors file of an adaptor: written byte for byte the same each time, and read within bounds."""

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from retina_adapt.adaptors.errors import AdaptorFileError

# Holds the configuration and the card in the single-file form, and some hundred tensors' names and places.
MOST_HEADER_BYTES = 8 * 2**20
_LENGTH_BYTES = 8
# A ZIP archive, which holds one, and a bare one.
_PICKLE_SIGNATURES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def write_tensor_file(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write the tensors and the header's text; equal input gives equal bytes."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    whole = safetensors.torch.save(contiguous, metadata=dict(header))
    # The library writes the header's text in an order that is different in every process.
    data_start = _LENGTH_BYTES + struct.unpack("<Q", whole[:_LENGTH_BYTES])[0]
    index = json.loads(whole[_LENGTH_BYTES:data_start])
    index["__metadata__"] = dict(sorted(index["__metadata__"].items()))
    encoded = json.dumps(index, separators=(",", ":")).encode()
    # The format aligns the tensors' bytes to eight.
    encoded += b" " * (-len(encoded) % 8)
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + whole[data_start:])


def read_header(path: Path) -> dict[str, str]:
    """The header's text, without reading a tensor.

    Raises:
        AdaptorFileError: there is no such file, or it is not a whole safetensors file.
    """
    require_regular_file(path)
    with _safetensors_errors(path):
        _check_header_length(path)
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})


def read_tensors(path: Path, *, most_bytes: int | None = None) -> dict[str, Tensor]:
    """All tensors, in memory of their own: what happens to the file afterwards does not reach them.

    Args:
        most_bytes: refuse a larger file before reading it.

    Raises:
        AdaptorFileError: there is no such file, it is not a whole safetensors file, or it is too large.
    """
    require_regular_file(path)
    if most_bytes is not None and path.stat().st_size > most_bytes:
        raise AdaptorFileError(
            f"{path}: holds {path.stat().st_size:,} bytes, far more than the {most_bytes:,} that an adaptor of its "
            "settings can need; it is not what it claims to be"
        )
    with _safetensors_errors(path):
        _check_header_length(path)
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a mapping


def require_regular_file(path: Path) -> None:
    """Links are followed, as the Hub's cache is made of them; a pipe or a device would never end.

    Raises:
        AdaptorFileError: there is no such file, or it is no regular one.
    """
    if not path.exists():
        raise AdaptorFileError(f"{path}: no such file; the adaptor is incomplete, fetch or export it again")
    if not path.is_file():
        raise AdaptorFileError(f"{path}: is no regular file")


@contextmanager
def _safetensors_errors(path: Path) -> Iterator[None]:
    """Turns what reading a damaged file raises into the error that names the file."""
    try:
        yield
    # A type that this PyTorch does not know is an AttributeError or a KeyError in the library.
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise AdaptorFileError(
            f"{path}: not a whole safetensors file ({error}); fetch or export the adaptor again"
        ) from error


def _check_header_length(path: Path) -> None:
    with path.open("rb") as stream:
        prefix = stream.read(_LENGTH_BYTES)
    if len(prefix) < _LENGTH_BYTES:
        raise ValueError("shorter than the length of its header")
    length = struct.unpack("<Q", prefix)[0]
    if length > MOST_HEADER_BYTES and prefix.startswith(_PICKLE_SIGNATURES):
        raise ValueError("a pickle, as torch.save writes it, which can run any code and is never loaded")
    if length > MOST_HEADER_BYTES:
        raise ValueError(f"its header would take {length:,} bytes, more than the {MOST_HEADER_BYTES:,} allowed")
