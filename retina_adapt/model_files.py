"""A model's files, safetensors and small texts: reading is bounded, and errors name the damaged file."""

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

# Room for the configuration and card of an adaptor's single-file form, and for the index of some hundred tensors.
MOST_HEADER_BYTES = 8 * 2**20
MOST_TEXT_BYTES = 2**20
_LENGTH_BYTES = 8
# Of a ZIP archive that holds a pickle, and of bare pickles.
_PICKLE_SIGNATURES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def write_tensor_file(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and header text as safetensors; equal input gives equal bytes."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    whole = safetensors.torch.save(contiguous, metadata=dict(header))
    # The library orders the header's text differently in every process.
    data_start = _LENGTH_BYTES + struct.unpack("<Q", whole[:_LENGTH_BYTES])[0]
    index = json.loads(whole[_LENGTH_BYTES:data_start])
    index["__metadata__"] = dict(sorted(index["__metadata__"].items()))
    encoded = json.dumps(index, separators=(",", ":")).encode()
    # The format aligns the tensors to eight bytes.
    encoded += b" " * (-len(encoded) % 8)
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + whole[data_start:])


@dataclass(frozen=True)
class ModelFileReader:
    """A reader for the files of one kind of model: it unpickles nothing and refuses files that are too large.

    Attributes:
        model: the model's name in errors: adaptor, backbone or router.
        error: type of the errors raised; each names the file.
    """

    model: str
    error: type[RetinaAdaptError]

    def read_header(self, path: Path) -> dict[str, str]:
        """Read the header's text without reading any tensor.

        Raises:
            The reader's error: there is no such file, or it is not a whole safetensors file.
        """
        with self._opened(path) as file:
            return dict(file.metadata() or {})

    def read_tensors(self, path: Path, *, most_bytes: int | None = None, copied: bool = True) -> dict[str, Tensor]:
        """Read all tensors into memory of their own, so that later changes to the file do not affect them.

        Args:
            most_bytes: refuse a larger file before reading it.
            copied: False leaves them mapped to the file, for a caller that copies them at once.

        Raises:
            The reader's error: there is no such file, it is not a whole safetensors file, it is too large, or memory
                runs out.
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
        """Read a small text file.

        Raises:
            The reader's error: the file is missing, too large, or not UTF-8.
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
        """Read a small file that holds a JSON object.

        Raises:
            The reader's error: the file cannot be read as text, is not valid JSON, or holds something else.
        """
        try:
            content = json.loads(self.read_text(path))
        except (ValueError, RecursionError) as error:
            raise self.error(f"{path}: not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise self.error(f"{path}: does not hold a JSON object")
        return content

    def require_regular_file(self, path: Path) -> None:
        """Refuse a pipe or a device, which might never end; follow links, which the Hub's cache is made of.

        Raises:
            The reader's error: there is no such file, or it is not a regular one.
        """
        if not path.exists():
            raise self.error(
                f"{path}: no such file; check the path, and if it is right, get the whole {self.model} again"
            )
        if not path.is_file():
            raise self.error(f"{path}: is not a regular file")

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        """Yield the open file; errors from a damaged file, or from too little memory, become the reader's own."""
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
        # For a data type that this PyTorch does not know, the library raises an AttributeError or a KeyError.
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
