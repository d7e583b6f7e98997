"""A model that does not fit the memory is an error that names its file, not a damaged one and not a traceback."""

import json
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from retina_adapt.errors import RetinaAdaptError
from retina_adapt.model_files import ModelFileReader

NUMBERS = 2**27


@contextmanager
def no_more_memory_than_now() -> Iterator[None]:
    """But for 16 MiB."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**24, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_a_model_that_does_not_fit_the_memory_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = json.dumps({"a": {"dtype": "F32", "shape": [NUMBERS], "data_offsets": [0, 4 * NUMBERS]}}).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        # Takes no room on the disk.
        stream.truncate(8 + len(header) + 4 * NUMBERS)
    reader = ModelFileReader("adaptor", RetinaAdaptError)
    with (
        no_more_memory_than_now(),
        pytest.raises(RetinaAdaptError, match=r"model\.saf.*not enough memory.*close other"),
    ):
        reader.read_tensors(path)
