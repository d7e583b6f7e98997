"""The files of a model, safetensors and small texts: read within bounds, and refused by name where damaged."""

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from retina_adapt.errors import RetinaAdaptError, ran_out_of_memory

# Holds the configuration and the card of an adaptor's single-file form, and some hundred tensors' names and places.
MOST_HEADER_BYTES = 8 * 2**20
MOST_TEXT_BYTES = 2**20
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


@dataclass(frozen=True)
class ModelFileReader:
    """Reads the files of one kind of model. None is unpickled, none read that is larger than its caller allows.

    Attributes:
        model: what errors call it: adaptor, backbone or router.
        error: the type of the errors, each of which names the file.
    """

    model: str
    error: type[RetinaAdaptError]

    def read_header(self, path: Path) -> dict[str, str]:
        """The header's text, without reading a tensor.

        Raises:
            The reader's error: there is no such file, or it is not a whole safetensors file.
        """
        with self._opened(path) as file:
            return dict(file.metadata() or {})

    def read_tensors(self, path: Path, *, most_bytes: int | None = None, copied: bool = True) -> dict[str, Tensor]:
        """All tensors, in memory of their own: what happens to the file afterwards does not reach them.

        Args:
            most_bytes: refuse a larger file before reading it.
            copied: False leaves them in the file, for a caller who copies them at once.

        Raises:
            The reader's error: there is no such file, it is not a whole safetensors file, or it is too large.
        """
        self.require_regular_file(path)
        if most_bytes is not None and path.stat().st_size > most_bytes:
            raise self.error(
                f"{path}: holds {path.stat().st_size:,} bytes, more than the {most_bytes:,} that the {self.model}'s "
                "settings can need; it is not what it claims to be"
            )
        with self._opened(path) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            return {name: tensor.clone() for name, tensor in tensors.items()} if copied else tensors

    def read_text(self, path: Path) -> str:
        """A small text file.

        Raises:
            The reader's error: it is missing, too large, or no UTF-8.
        """
        self.require_regular_file(path)
        size = path.stat().st_size
        if size > MOST_TEXT_BYTES:
            raise self.error(f"{path}: holds {size:,} bytes, more than the {MOST_TEXT_BYTES:,} allowed")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self.error(f"{path}: cannot be read as text: {error}") from error

    def read_json_object(self, path: Path) -> dict[str, Any]:
        """A small JSON file that holds named values.

        Raises:
            The reader's error: it cannot be read as text, is not valid JSON, or holds something else.
        """
        try:
            content = json.loads(self.read_text(path))
        except (ValueError, RecursionError) as error:
            raise self.error(f"{path}: not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise self.error(f"{path}: holds no JSON object")
        return content

    def require_regular_file(self, path: Path) -> None:
        """Links are followed, as the Hub's cache is made of them; a pipe or a device would never end.

        Raises:
            The reader's error: there is no such file, or it is no regular one.
        """
        if not path.exists():
            raise self.error(
                f"{path}: no such file; check the path, and if it is right, get the whole {self.model} again"
            )
        if not path.is_file():
            raise self.error(f"{path}: is no regular file")

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        """The open file; what reading a damaged one raises, or one that is too large, becomes the reader's error."""
        self.require_regular_file(path)
        try:
            _check_header_length(path)
            with safetensors.safe_open(path, framework="pt") as file:
                yield file
        except (MemoryError, RuntimeError) as error:
            if not ran_out_of_memory(error):
                raise
            raise self.error(
                f"{path}: not enough memory for the {self.model}'s {path.stat().st_size:,} bytes; close other "
                "programs, or raise the limit that was set for memory"
            ) from error
        # A type that this PyTorch does not know is an AttributeError or a KeyError in the library.
        except (OSError, safetensors.SafetensorError, ValueError, KeyError, AttributeError) as error:
            raise self.error(f"{path}: not a whole safetensors file ({error}); get the {self.model} again") from error


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
